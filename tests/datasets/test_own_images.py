from __future__ import annotations

import io
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from nas.datasets import Prepared, decoding, prepare, verify
from nas.errors import DataError, InputError
from nas.experiment import Data
from nas.testing.datasets import ImageSourceContract
from nas.workspace import Workspace
from tests.datasets.factories import encoded, write_folder, write_parquet

ANIMALS = {"cat": 12, "dog": 10, "eel": 8}


class TestFolder(ImageSourceContract):
    def data(self, root: Path) -> Data:
        write_folder(root / "mine", ANIMALS)
        return Data(source="folder", path="mine")


class TestFolderWithParts(ImageSourceContract):
    def data(self, root: Path) -> Data:
        for part in ("train", "validation", "test"):
            write_folder(root / "mine" / part, ANIMALS)
        return Data(source="folder", path="mine")


class TestParquet(ImageSourceContract):
    def data(self, root: Path) -> Data:
        write_parquet(root / "train.parquet", [encoded(n) for n in range(40)], [n % 4 for n in range(40)])
        write_parquet(root / "test.parquet", [encoded(n) for n in range(50, 60)], [n % 4 for n in range(10)])
        return Data(source="parquet", train="train.parquet", test="test.parquet")


class TestNpz(ImageSourceContract):
    def data(self, root: Path) -> Data:
        pixels = np.random.RandomState(0).randint(0, 256, (30, 5, 4)).astype(np.uint8)
        np.savez(root / "mine.npz", images=pixels, labels=np.arange(30) % 3)
        return Data(source="npz", path="mine.npz")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def folder(workspace: Workspace, **options: Any) -> Prepared:
    return prepare(Data(source="folder", path="mine", **options), workspace)


def parquet(workspace: Workspace, images: list[Any], labels: list[Any], **options: Any) -> Prepared:
    file = write_parquet(workspace.root / "mine.parquet", images, labels)
    return prepare(Data(source="parquet", train=file.name, **options), workspace)


def npz(workspace: Workspace, options: dict[str, Any] | None = None, **arrays: np.ndarray) -> Prepared:
    np.savez(workspace.root / "mine.npz", **arrays)
    return prepare(Data(source="npz", path="mine.npz", **(options or {})), workspace)


def every_image(prepared: Prepared) -> dict[bytes, str]:
    """The class name of each image, by its pixels."""
    return {
        image.tobytes(): prepared.classes[label]
        for name in prepared.sizes
        for image, label in zip(*prepared.split(name), strict=True)
    }


def pixels_of(file: bytes) -> bytes:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).tobytes()


# Folders


def test_class_folders_become_classes_in_the_order_of_their_names(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    prepared = folder(workspace)
    assert prepared.classes == ("cat", "dog", "eel")
    assert prepared.image_shape == (6, 5, 3)
    assert prepared.sizes == {"train": 24, "validation": 3, "test": 3}
    assert every_image(prepared) == {
        pixels_of(file.read_bytes()): file.parent.name for file in top.glob("*/*.png")
    }


def test_parts_of_the_users_own_are_kept(workspace: Workspace) -> None:
    for part, counts in {"train": {"a": 20, "b": 20}, "validation": {"a": 3, "b": 4}}.items():
        write_folder(workspace.root / "mine" / part, counts)
    assert folder(workspace).sizes == {"train": 36, "validation": 7, "test": 4}


def test_hidden_files_are_passed_over(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    (top / ".DS_Store").write_text("x")
    (top / "cat" / ".thumbs").mkdir()
    (top / "cat" / ".thumbs" / "x.png").write_text("x")
    assert sum(folder(workspace).sizes.values()) == 30


def test_all_grey_images_get_one_channel(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", {"a": 5, "b": 5}, shape=(6, 5))
    prepared = folder(workspace)
    assert prepared.image_shape == (6, 5, 1)
    grey = np.asarray(Image.open(top / "a" / "002.png"))
    assert grey.tobytes() in every_image(prepared)


@pytest.mark.parametrize("place", ["train/a/000.png", "train/b/003.png", "test/b/004.png"])
def test_one_colour_image_makes_all_of_them_rgb(workspace: Workspace, place: str) -> None:
    for part in ("train", "test"):
        write_folder(workspace.root / "mine" / part, {"a": 5, "b": 5}, shape=(6, 5))
    (workspace.root / "mine" / place).write_bytes(encoded(99))
    assert folder(workspace).image_shape == (6, 5, 3)


@pytest.mark.parametrize(("size", "shape"), [(4, (4, 4, 3)), ([3, 7], (3, 7, 3))])
def test_images_are_resized_where_the_user_says_so(
    workspace: Workspace, size: Any, shape: tuple[int, ...]
) -> None:
    write_folder(workspace.root / "mine", ANIMALS)
    (workspace.root / "mine" / "cat" / "other.png").write_bytes(encoded(99, (20, 30, 3)))
    assert folder(workspace, size=size).image_shape == shape


def photograph(width: int, height: int) -> Image.Image:
    """Red in the middle square, green beyond it: whoever stretches it sees green."""
    side = min(width, height)
    image = Image.new("RGB", (width, height), (0, 200, 0))
    image.paste(
        (200, 0, 0), ((width - side) // 2, (height - side) // 2, (width + side) // 2, (height + side) // 2)
    )
    return image


def test_images_of_mixed_sizes_keep_their_proportions_where_the_user_says_so(workspace: Workspace) -> None:
    sizes = [(64, 32), (32, 64), (40, 40), (200, 90), (17, 100), (16, 16), (8, 12)]
    for number, size in enumerate(sizes * 2):
        file = workspace.root / "mine" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        photograph(*size).save(file)
    cut = folder(workspace, size=16, fit="crop", name="cut")
    assert cut.image_shape == (16, 16, 3)
    assert sum(cut.sizes.values()) == 14
    for images in (cut.split(name)[0] for name in cut.sizes):
        assert images[:, 1:-1, 1:-1, 0].min() == 200, "red stays, whatever the image's proportions"
        assert images[:, 1:-1, 1:-1, 1].max() == 0
    stretched = folder(workspace, size=16, name="stretched")
    assert max(stretched.split(name)[0][..., 1].max() for name in stretched.sizes) == 200
    assert stretched.digest != cut.digest


def test_a_part_of_another_shape_than_a_square_is_cut_out_too(workspace: Workspace) -> None:
    for number in range(20):
        file = workspace.root / "mine" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (40, 40), (0, 0, number))
        image.paste((200, 0, 0), (0, 10, 40, 30))
        image.save(file)
    prepared = folder(workspace, size=[8, 16], fit="crop")
    assert prepared.image_shape == (8, 16, 3)
    assert prepared.split("train")[0][:, 1:-1, :, 0].min() == 200


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"size": 8, "fit": "pad"}, r"fit can't be 'pad' \(allowed: crop, stretch"),
        ({"size": 8, "fit": True}, "fit can't be True"),
        ({"size": 8, "fit": None}, "fit can't be None"),
        ({"fit": "crop"}, "fit: crop needs the size"),
    ],
)
def test_another_way_to_fit_is_refused(workspace: Workspace, options: dict[str, Any], told: str) -> None:
    write_folder(workspace.root / "mine", ANIMALS)
    with pytest.raises(InputError, match=told):
        folder(workspace, **options)


def test_data_prepared_before_there_was_a_way_to_fit_are_the_same_data(workspace: Workspace) -> None:
    write_folder(workspace.root / "mine", ANIMALS)
    before = folder(workspace, size=8)
    file = before.folder / "prepared.json"
    description = json.loads(file.read_text())
    del description["options"]["fit"]
    file.write_text(json.dumps(description))
    assert folder(workspace, size=8).digest == before.digest
    with pytest.raises(InputError, match="already prepared with fit='stretch', now fit is 'crop'"):
        folder(workspace, size=8, fit="crop")


def test_images_of_different_sizes_are_named_with_both_sizes_and_the_option(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    (top / "dog" / "004.png").write_bytes(encoded(99, (7, 5, 3)))
    with pytest.raises(DataError, match=r"000\.png is 6×5 .*004\.png is 7×5; set the option size.*\[6, 5\]"):
        folder(workspace)
    assert not workspace.prepared("folder").exists()


def damaged_png() -> bytes:
    return encoded(0)[:-30]


@pytest.mark.parametrize("content", [b"", b"no image", damaged_png()], ids=["empty", "text", "truncated"])
def test_an_unreadable_image_is_named(workspace: Workspace, content: bytes) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    (top / "eel" / "003.png").write_bytes(content)
    with pytest.raises(
        DataError, match=r"eel/003\.png can't be read as an image .*expected one of JPEG, PNG"
    ):
        folder(workspace)


def test_a_program_that_calls_itself_an_image_is_not_run(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 5 6\n%%EndComments\nshowpage\n"
    (top / "eel" / "003.png").write_bytes(postscript)
    with pytest.raises(DataError, match=r"eel/003\.png can't be read as an image \(Unidentified"):
        folder(workspace)


@pytest.mark.parametrize("limit", [100, 40], ids=["warning", "error"])
def test_a_decompression_bomb_is_an_error(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    write_folder(workspace.root / "mine", ANIMALS)
    (workspace.root / "mine" / "dog" / "000.png").write_bytes(encoded(99, (11, 10, 3)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(DataError, match=r"dog/000\.png .*DecompressionBomb"):
        folder(workspace, size=4)


def test_deep_images_are_refused_rather_than_clipped(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    Image.fromarray(np.full((6, 5), 40_000, dtype=np.uint16)).save(top / "cat" / "000.png")
    with pytest.raises(DataError, match=r"cat/000\.png .*more than 8 bits per channel \(mode I;16\)"):
        folder(workspace)


def test_photos_stand_upright(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    sideways = Image.fromarray(np.random.RandomState(5).randint(0, 256, (5, 6, 3)).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn clockwise to show
    sideways.save(top / "cat" / "000.png", exif=exif)
    upright = sideways.transpose(Image.Transpose.ROTATE_270)
    assert np.asarray(upright).tobytes() in every_image(folder(workspace))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
def test_images_of_every_usual_mode_are_read(workspace: Workspace, mode: str) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    form = "TIFF" if mode == "CMYK" else "PNG"
    options = {"transparency": bytes([0, 128])} if mode == "P" else {}
    Image.new("RGB", (5, 6), (255, 255, 255)).convert(mode).save(top / "cat" / "000.png", form, **options)
    assert bytes([255]) * (6 * 5 * 3) in every_image(folder(workspace))


def test_many_batches_keep_images_and_labels_together(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "_BATCH_IMAGES", 3)
    files = [encoded(n) for n in range(60)]
    prepared = parquet(workspace, files, [n % 7 for n in range(60)])
    assert every_image(prepared) == {pixels_of(file): str(n % 7) for n, file in enumerate(files)}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda top: None, r"no folder is at .*mine \(path='mine'\)"),
        (lambda top: write_folder(top, {"a": 3}), "at least two class folders"),
        (lambda top: write_folder(top, {"a": 3, "b": 0}), r"class folder .*mine/b holds no images"),
        (
            lambda top: (write_folder(top, ANIMALS) / "list.txt").write_text("x"),
            r"list\.txt is a file, expected only folders",
        ),
        (
            lambda top: (
                write_folder(top / "train", ANIMALS),
                write_folder(top / "test", {"a": 1, "fly": 1}),
            ),
            r"mine/test has the class folder 'a', .* expected cat, dog, eel",
        ),
        (
            lambda top: (write_folder(top / "train", ANIMALS), write_folder(top / "val", ANIMALS)),
            r"mine/val lies beside .*train, where only train, validation, test",
        ),
        (lambda top: write_folder(top, {"a": 20, "rare": 2}), r"class 'rare' has too few images"),
    ],
)
def test_folders_of_another_form_are_named(workspace: Workspace, make: Any, told: str) -> None:
    make(workspace.root / "mine")
    with pytest.raises(DataError, match=told):
        folder(workspace)


# What is transparent, deep, lost, or equal


def icon(mode: str = "RGBA", seed: int = 0) -> Image.Image:
    """A black shape, of which only the opacity tells."""
    opacity = np.random.RandomState(seed).choice([0, 255], (6, 5)).astype(np.uint8)
    image = Image.new("RGBA", (5, 6))
    image.putalpha(Image.fromarray(opacity))
    return image.convert(mode)


@pytest.mark.parametrize(
    ("mode", "form"), [("RGBA", "PNG"), ("LA", "PNG"), ("RGBA", "WEBP"), ("RGBA", "TIFF")]
)
def test_a_shape_of_mere_opacity_is_seen_on_white(workspace: Workspace, mode: str, form: str) -> None:
    top = write_folder(workspace.root / "mine", {"a": 4, "b": 4})
    for number, file in enumerate(sorted(top.rglob("*.png"))):
        icon(mode=mode, seed=number).save(file, form, **({"lossless": True} if form == "WEBP" else {}))
    seen = every_image(folder(workspace))
    assert len(seen) == 8
    opacity = np.asarray(icon())[..., 3:]
    expected = (255 - opacity).repeat(1 if mode == "LA" else 3, axis=2)
    assert expected.tobytes() in seen


@pytest.mark.parametrize(
    ("background", "colour"), [("black", (0, 0, 0)), ("#ff0080", (255, 0, 128)), ([9, 8, 7], (9, 8, 7))]
)
def test_another_background_can_be_chosen(
    workspace: Workspace, background: Any, colour: tuple[int, int, int]
) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    Image.new("RGBA", (5, 6), (1, 2, 3, 0)).save(top / "cat" / "000.png")
    assert bytes(colour) * 30 in every_image(folder(workspace, background=background))


@pytest.mark.parametrize("background", ["", "whitish", "#ff008080", [1, 2], [1, 2, 256], [0.5] * 3, 7, None])
def test_a_background_that_is_no_colour_is_refused(workspace: Workspace, background: Any) -> None:
    for data in ({"source": "folder", "path": "mine"}, {"source": "parquet", "train": "mine"}):
        with pytest.raises(InputError, match="background must be the name of a colour"):
            prepare(Data(**data, background=background), workspace)


def test_transparent_grey_is_coloured_only_by_a_coloured_background(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", {"a": 5, "b": 5}, shape=(6, 5))
    icon(mode="LA").save(top / "a" / "000.png")
    assert folder(workspace, name="grey", background="#808080").image_shape == (6, 5, 1)
    assert folder(workspace, name="red", background="red").image_shape == (6, 5, 3)


def test_one_transparent_colour_and_palette_are_transparent_too(workspace: Workspace) -> None:
    files = coloured(20)
    for number, mode in enumerate(("RGB", "L", "P")):
        file = io.BytesIO()
        transparent = (0, 0, 0) if mode == "RGB" else 0
        Image.new(mode, (5, 6), 0).save(file, "PNG", transparency=transparent)
        files[number] = file.getvalue()
    seen = every_image(parquet(workspace, files, [0, 1] * 10))
    assert bytes([255]) * 90 in seen
    assert bytes([0]) * 90 not in seen


def test_opaque_images_with_opacity_are_what_they_were_without(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    plain = folder(workspace, name="plain")
    for file in top.rglob("*.png"):
        Image.open(file).convert("RGBA").save(file)
    assert folder(workspace, name="opaque", background="red").digest == plain.digest


def deep_png(colours: int) -> bytes:
    """A PNG file of 16 bits: 0 grey, 2 RGB, 4 grey with opacity, 6 RGB with opacity."""
    channels = {0: 1, 2: 3, 4: 2, 6: 4}[colours]
    rows = b"".join(b"\0" + np.full((5, channels), 40_000, ">u2").tobytes() for _ in range(6))
    header = struct.pack(">IIBBBBB", 5, 6, 16, colours, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.mark.parametrize(
    "content",
    [
        *(pytest.param(deep_png(colours), id=f"PNG {colours}") for colours in (0, 2, 4, 6)),
        pytest.param(b"P6 5 6 65535\n" + bytes(180), id="PPM"),
        pytest.param(b"P5 5 6 4095\n" + bytes(60), id="PGM"),
    ],
)
def test_images_of_16_bits_are_refused_whatever_their_colours(workspace: Workspace, content: bytes) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    (top / "cat" / "000.png").write_bytes(content)
    with pytest.raises(DataError, match=r"cat/000\.png .*more than 8 bits .* bring its values to 0–255"):
        folder(workspace)


def test_all_unreadable_images_are_counted_and_the_first_ten_named(workspace: Workspace) -> None:
    for part in ("train", "test"):
        top = write_folder(workspace.root / "mine" / part, ANIMALS)
        for number in range(7):
            (top / "cat" / f"{number:03}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="14 of 60 images can't be read: ") as caught:
        folder(workspace)
    assert str(caught.value).count("unknown") == 10
    assert "train/cat/006.png" in str(caught.value)
    assert "; and 4 more; expected one of JPEG" in str(caught.value)


def test_images_behind_links_are_read(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    away = write_folder(workspace.root / "away", {"more": 3}, shape=(6, 5, 3)) / "more"
    for number, file in enumerate(away.iterdir()):
        file.write_bytes(encoded(900 + number))
    (top / "cat" / "linked").symlink_to(away)
    (top / "dog" / "linked.png").symlink_to(away / "000.png")
    (top / "fly").symlink_to(away)
    prepared = folder(workspace)
    assert sum(prepared.sizes.values()) == 30 + 3 + 1 + 3
    assert prepared.classes == ("cat", "dog", "eel", "fly")
    (away / "000.png").write_bytes(encoded(999))
    with pytest.raises(InputError, match="changed since"):
        folder(workspace)


def test_broken_links_and_circles_are_counted_and_named(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    (top / "cat" / "gone.png").symlink_to(top / "nowhere.png")
    (top / "dog" / "circle").symlink_to(top)
    (top / "eel" / "self.png").symlink_to(top / "eel" / "self.png")
    os.mkfifo(top / "eel" / "pipe.png")
    with pytest.raises(
        DataError,
        match=r"has 4 names \(\S*gone\.png, \S*circle, \S*pipe\.png, \S*self\.png\) that can't be read",
    ):
        folder(workspace)


def test_a_broken_link_in_place_of_a_class_is_named(workspace: Workspace) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    (top / "fly").symlink_to(workspace.root / "nowhere")
    with pytest.raises(DataError, match=r"has 1 names \(.*fly\) that can't be read"):
        folder(workspace)


def test_two_class_folders_of_one_name_in_two_spellings_are_refused(workspace: Workspace) -> None:
    write_folder(workspace.root / "mine", {"caf\u00e9": 3, "cafe\u0301": 3, "tea": 3})
    with pytest.raises(DataError, match="two class folders that read 'caf\u00e9'"):
        folder(workspace)


def test_what_is_passed_over_is_counted_and_said(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    (top / "cat" / ".hidden.png").write_bytes(encoded(99))
    (top / ".old").mkdir()
    folder(workspace)
    assert "passed over, because of a dot before their names: 2 names (" in caplog.text


@pytest.mark.parametrize(
    ("equal", "told"),
    [
        ({"cat"}, "all train images of a class are one and the same in cat"),
        ({"cat", "dog"}, "of the 24 train images are one and the same"),
        (set(), ""),
    ],
    ids=["a class", "most", "none"],
)
def test_images_that_are_all_equal_are_told(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, equal: set[str], told: str
) -> None:
    top = write_folder(workspace.root / "mine", ANIMALS)
    for name in equal:
        for file in (top / name).iterdir():
            file.write_bytes(encoded(1000))
    folder(workspace)
    assert told in caplog.text
    assert bool(caplog.text) == bool(told)


# Parquet


def coloured(count: int) -> list[bytes]:
    return [encoded(n) for n in range(count)]


def test_texts_become_classes_in_alphabetical_order(workspace: Workspace) -> None:
    files = coloured(30)
    labels = [["wolf", "ant", "bee"][n % 3] for n in range(30)]
    prepared = parquet(workspace, files, labels)
    assert prepared.classes == ("ant", "bee", "wolf")
    assert every_image(prepared) == {pixels_of(f): n for f, n in zip(files, labels, strict=True)}


def test_class_names_can_be_given_for_numbers_and_for_texts(workspace: Workspace) -> None:
    files = coloured(20)
    numbers = parquet(workspace, files, [n % 2 for n in range(20)], classes=["no", "yes"], name="numbers")
    texts = parquet(workspace, files, ["yes", "no"] * 10, classes=["yes", "no"], name="texts")
    assert numbers.classes == ("no", "yes")
    assert texts.classes == ("yes", "no")
    assert every_image(texts) == {
        image: {"no": "yes", "yes": "no"}[name] for image, name in every_image(numbers).items()
    }


def test_columns_can_have_other_names_and_images_lie_in_structs(workspace: Workspace) -> None:
    pictures = [{"bytes": file, "path": "x.png"} for file in coloured(20)]
    kinds = pa.array(["a", "b"] * 10).dictionary_encode()
    pq.write_table(pa.table({"picture": pictures, "kind": kinds}), workspace.root / "hub.parquet")
    data = Data(source="parquet", train="hub.parquet", image_column="picture", label_column="kind")
    assert prepare(data, workspace).classes == ("a", "b")


def test_files_of_their_own_become_validation_and_test(workspace: Workspace) -> None:
    for part, count in {"train": 20, "validation": 6, "test": 4}.items():
        write_parquet(workspace.root / f"{part}.parquet", coloured(count), [n % 2 for n in range(count)])
    parts = {part: f"{part}.parquet" for part in ("train", "validation", "test")}
    prepared = prepare(Data(source="parquet", **parts), workspace)
    assert prepared.sizes == {"train": 20, "validation": 6, "test": 4}


@pytest.mark.parametrize(
    ("place", "label", "options", "told"),
    [
        (17, 9, {}, r"row 17: label 9 is out of range: no row has the label 2"),
        (17, -1, {}, r"row 17: label -1 is out of range"),
        (17, 2**40, {}, r"row 17: label 1099511627776 is out of range"),
        (17, 2, {"classes": ["no", "yes"]}, r"row 17: label 2 is out of range, expected 0 to 1"),
        (17, None, {}, r"row 17: the label is missing"),
    ],
)
def test_a_bad_number_as_label_is_named_with_its_row(
    workspace: Workspace, place: int, label: Any, options: dict[str, Any], told: str
) -> None:
    labels: list[Any] = [n % 2 for n in range(20)]
    labels[place] = label
    with pytest.raises(DataError, match=rf"mine\.parquet, {told}"):
        parquet(workspace, coloured(20), labels, **options)


@pytest.mark.parametrize(
    ("label", "options", "told"),
    [
        ("cow", {"classes": ["cat", "dog"]}, r"row 5: label cow is out of range, expected cat, dog"),
        ("", {}, r"row 5: the label is missing"),
        (None, {}, r"row 5: the label is missing"),
    ],
)
def test_a_bad_text_as_label_is_named_with_its_row(
    workspace: Workspace, label: Any, options: dict[str, Any], told: str
) -> None:
    labels: list[Any] = ["cat", "dog"] * 10
    labels[5] = label
    with pytest.raises(DataError, match=rf"mine\.parquet, {told}"):
        parquet(workspace, coloured(20), labels, **options)


def test_a_label_that_training_never_saw_is_named_with_its_file_and_row(workspace: Workspace) -> None:
    write_parquet(workspace.root / "test.parquet", coloured(4), [0, 1, 2, 0])
    with pytest.raises(DataError, match=r"test\.parquet, row 2: label 2 is out of range, expected 0 to 1"):
        parquet(workspace, coloured(20), [0, 1] * 10, test="test.parquet")


def test_numbers_and_texts_as_labels_are_not_mixed(workspace: Workspace) -> None:
    write_parquet(workspace.root / "test.parquet", coloured(4), ["0", "1", "0", "1"])
    with pytest.raises(DataError, match=r"test\.parquet.* labels must be of one kind"):
        parquet(workspace, coloured(20), [0, 1] * 10, test="test.parquet")


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (b"no image", r"row 13 can't be read as an image"),
        (None, r"row 13: the image is missing"),
        (encoded(0, (9, 9, 3)), r"row 0 is 6×5 .*row 13 is 9×9; set the option size"),
    ],
    ids=["unreadable", "missing", "size"],
)
def test_a_bad_image_is_named_with_its_row(workspace: Workspace, image: Any, told: str) -> None:
    images: list[Any] = coloured(20)
    images[13] = image
    with pytest.raises(DataError, match=rf"mine\.parquet, {told}"):
        parquet(workspace, images, [0, 1] * 10)
    assert not workspace.prepared("parquet").exists()


@pytest.mark.parametrize(
    ("images", "labels", "told"),
    [
        (["a.png"] * 4, [0, 1, 0, 1], r"column 'image' must hold encoded images as bytes, but holds string"),
        ([b"x"] * 4, [0.0, 1.0, 0.0, 1.0], r"column 'label' must hold whole numbers or texts.* double"),
        (pa.array([], pa.binary()), pa.array([], pa.int8()), r"has no rows"),
    ],
)
def test_columns_of_another_type_are_named(workspace: Workspace, images: Any, labels: Any, told: str) -> None:
    with pytest.raises(DataError, match=told):
        parquet(workspace, images, labels)


def test_a_missing_column_names_those_that_are_there(workspace: Workspace) -> None:
    with pytest.raises(DataError, match=r"no column 'y': it has image, label; .*label_column"):
        parquet(workspace, coloured(4), [0, 1, 0, 1], label_column="y")


SHARDS = ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]


def write_shards(workspace: Workspace, names: list[str] = SHARDS, each: int = 10) -> None:
    for number, name in enumerate(names):
        files = [encoded(100 * number + n) for n in range(each)]
        write_parquet(workspace.root / name, files, [n % 2 for n in range(each)])


@pytest.mark.parametrize(
    "train", ["data", "data/train-*.parquet", "data/*-of-00002.parquet", "**/t*.parquet"]
)
def test_shards_are_read_in_the_order_of_their_names(workspace: Workspace, train: str) -> None:
    write_shards(workspace)
    prepared = prepare(Data(source="parquet", train=train), workspace)
    assert every_image(prepared) == {
        pixels_of(encoded(100 * shard + n)): str(n % 2) for shard in range(2) for n in range(10)
    }
    write_shards(workspace, [SHARDS[1], "data/train-00002-of-00002.parquet"])
    with pytest.raises(InputError, match="changed since"):
        prepare(Data(source="parquet", train=train), workspace)


def test_each_part_can_be_shards_and_no_file_serves_two(workspace: Workspace) -> None:
    tests = ["data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"]
    write_shards(workspace)
    write_shards(workspace, tests, each=3)
    options = {"train": "data/train-*", "test": "data/test-*"}
    assert prepare(Data(source="parquet", **options), workspace).sizes["test"] == 6
    with pytest.raises(DataError, match=r"data holds files of several parts .*by a pattern, as in train: "):
        prepare(Data(source="parquet", name="other", train="data"), workspace)
    options["train"] = "data/t*-00000-of-00002.parquet"
    with pytest.raises(DataError, match="several parts"):
        prepare(Data(source="parquet", name="other", **options), workspace)
    with pytest.raises(DataError, match="one of the files of train and of test"):
        prepare(Data(source="parquet", name="other", train=tests[0], test="data/test-*"), workspace)


def test_a_missing_shard_is_noticed(workspace: Workspace) -> None:
    write_shards(workspace, [name.replace("00002", "00003") for name in SHARDS])
    with pytest.raises(DataError, match=r"data has 2 of the 3 files of 'train\.parquet': some are missing"):
        prepare(Data(source="parquet", train="data"), workspace)


@pytest.mark.parametrize("train", ["data", "data/*.parquet"])
def test_no_shard_at_all_is_said(workspace: Workspace, train: str) -> None:
    (workspace.root / "data").mkdir()
    with pytest.raises(DataError, match=r"no (parquet file is in|file is at) .*data"):
        prepare(Data(source="parquet", train=train), workspace)


def test_a_bad_label_is_named_with_the_row_of_its_own_shard(workspace: Workspace) -> None:
    write_shards(workspace)
    write_parquet(workspace.root / SHARDS[1], coloured(4), [0, 1, 9, 0])
    with pytest.raises(DataError, match=r"train-00001-of-00002\.parquet, row 2: label 9 is out of range"):
        prepare(Data(source="parquet", train="data"), workspace)


def write_hub(file: Path, names: Any, labels: list[int]) -> None:
    """A file as Hugging Face's `datasets` writes it."""
    table = pa.table(
        {"image": [{"bytes": encoded(n), "path": None} for n in range(len(labels))], "label": labels}
    )
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, file)


@pytest.mark.parametrize("names", [["no", "maybe", "yes"], {"0": "no", "1": "maybe", "2": "yes"}])
def test_class_names_of_the_metadata_are_used(workspace: Workspace, names: Any) -> None:
    write_hub(workspace.root / "hub.parquet", names, [2, 0, 1] * 10)
    data = Data(source="parquet", train="hub.parquet")
    prepared = prepare(data, workspace)
    assert prepared.classes == ("no", "maybe", "yes")
    assert every_image(prepared)[pixels_of(encoded(0))] == "yes"
    own = data.model_copy(update={"name": "own", "classes": ["a", "b", "c"]})
    assert prepare(Data(**own.model_dump()), workspace).classes == ("a", "b", "c")


def test_named_classes_without_an_image_are_left_out_and_counted(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    write_hub(workspace.root / "hub.parquet", ["a", "b", "c", "d"], [3, 1] * 10)
    assert prepare(Data(source="parquet", train="hub.parquet"), workspace).classes == ("b", "d")
    assert "2 of the 4 named classes have no image" in caplog.text


def test_a_label_beyond_the_names_of_the_metadata_is_named(workspace: Workspace) -> None:
    write_hub(workspace.root / "hub.parquet", ["a", "b"], [0, 1] * 9 + [0, -1])
    with pytest.raises(DataError, match=r"row 19: label -1 is out of range, expected 0 to 1"):
        prepare(Data(source="parquet", train="hub.parquet"), workspace)


@pytest.mark.parametrize(
    "metadata", [b"", b"{", b"[]", b'{"info": null}', b'{"info": {"features": {"label": {"names": 3}}}}']
)
def test_metadata_of_another_form_are_passed_over(workspace: Workspace, metadata: bytes) -> None:
    table = pa.table({"image": coloured(20), "label": [0, 1] * 10})
    pq.write_table(table.replace_schema_metadata({b"huggingface": metadata}), workspace.root / "x.parquet")
    assert prepare(Data(source="parquet", train="x.parquet"), workspace).classes == ("0", "1")


@pytest.mark.parametrize(
    ("kind", "classes"),
    [
        (pa.string_view(), ("no", "yes")),
        (pa.large_string(), ("no", "yes")),
        (pa.dictionary(pa.int8(), pa.string()), ("no", "yes")),
        (pa.bool_(), ("0", "1")),
        (pa.uint64(), ("0", "1")),
        (pa.dictionary(pa.int8(), pa.int64()), ("0", "1")),
    ],
)
@pytest.mark.parametrize("images", [pa.binary(), pa.binary_view(), pa.large_binary()])
def test_columns_of_every_fitting_type_are_read(
    workspace: Workspace, images: Any, kind: Any, classes: tuple[str, ...]
) -> None:
    plain = [{"no": "no", "0": False}[classes[0]], {"yes": "yes", "1": True}[classes[1]]] * 10
    plain = [int(value) if "int" in str(kind) and classes[0] == "0" else value for value in plain]
    labels = (
        pa.array(plain).cast(kind)
        if not pa.types.is_dictionary(kind)
        else pa.array(plain).dictionary_encode()
    )
    prepared = parquet(workspace, pa.array(coloured(20), images), labels)
    assert prepared.classes == classes
    assert every_image(prepared)[pixels_of(encoded(3))] == classes[1]


def test_labels_may_begin_at_one(workspace: Workspace) -> None:
    files, labels = coloured(30), [1 + n % 3 for n in range(30)]
    numbers = parquet(workspace, files, labels, name="numbers")
    assert numbers.classes == ("1", "2", "3")
    names = parquet(workspace, files, labels, name="names", classes=["a", "b", "c"])
    assert every_image(names) == {image: "abc"[int(name) - 1] for image, name in every_image(numbers).items()}


def test_labels_with_gaps_get_advice_that_works(workspace: Workspace) -> None:
    files, labels = coloured(30), [(3, 7, 9)[n % 3] for n in range(30)]
    with pytest.raises(DataError, match=r"row 0: label 3 is out of range: .* write them as texts"):
        parquet(workspace, files, labels)
    assert parquet(workspace, files, [str(label) for label in labels]).classes == ("3", "7", "9")


@pytest.mark.parametrize("keep", [0, 100, -1, -2000])
def test_a_damaged_parquet_file_is_named(workspace: Workspace, keep: int) -> None:
    file = write_parquet(workspace.root / "mine.parquet", coloured(20), [0, 1] * 10)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"mine\.parquet can't be read as a parquet file"):
        prepare(Data(source="parquet", train="mine.parquet"), workspace)


def test_missing_files_are_named(workspace: Workspace) -> None:
    for data in (Data(source="parquet", train="no.file"), Data(source="npz", path="no.file")):
        with pytest.raises(DataError, match=r"no file is at .*no\.file"):
            prepare(data, workspace)


# npz


def random_images(count: int, *shape: int) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, (count, *shape)).astype(np.uint8)


def test_keras_like_arrays_are_read(workspace: Workspace) -> None:
    prepared = npz(
        workspace,
        x_train=random_images(40, 6, 5, 3),
        y_train=(np.arange(40) % 4)[:, np.newaxis].astype(np.uint8),
        x_test=random_images(8, 6, 5, 3),
        y_test=np.arange(8) % 4,
    )
    assert prepared.sizes == {"train": 36, "validation": 4, "test": 8}
    assert prepared.classes == ("0", "1", "2", "3")
    assert prepared.split("test")[1].tolist() == [0, 1, 2, 3] * 2


def test_plain_arrays_with_texts_are_read(workspace: Workspace) -> None:
    prepared = npz(workspace, images=random_images(40, 6, 5), labels=np.array(["hot", "cold"] * 20))
    assert (prepared.classes, prepared.image_shape) == (("cold", "hot"), (6, 5, 1))


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        (("x_train", "y_train"), ("x_val", "y_val"), ("x_test", "y_test")),
        (("X_train", "Y_train"), ("X_valid", "Y_valid"), ("X_test", "Y_test")),
        (("train_images", "train_labels"), ("val_images", "val_labels"), ("test_images", "test_labels")),
        (("train_x", "train_y"), ("dev_x", "dev_y"), ("test_x", "test_y")),
        (
            ("train_data", "train_labels"),
            ("validation_data", "validation_labels"),
            ("test_data", "test_labels"),
        ),
        (("trainX", "trainY"), ("valX", "valY"), ("testX", "testY")),
    ],
)
def test_the_parts_of_public_collections_are_used(
    workspace: Workspace, train: Any, validation: Any, test: Any
) -> None:
    arrays = {}
    for number, ((x, y), count) in enumerate(zip((train, validation, test), (20, 6, 4), strict=True)):
        arrays[x] = np.full((count, 6, 5), number, np.uint8)
        arrays[y] = (np.arange(count) % 2)[:, np.newaxis]
    prepared = npz(workspace, **arrays)
    assert prepared.sizes == {"train": 20, "validation": 6, "test": 4}
    assert [int(prepared.split(part)[0].max()) for part in prepared.sizes] == [0, 1, 2]


@pytest.mark.parametrize(
    ("x", "y"),
    [("X", "y"), ("x", "y"), ("image", "label"), ("data", "target"), ("data", "labels"), ("imgs", "targets")],
)
def test_the_names_of_a_single_part_vary(workspace: Workspace, x: str, y: str) -> None:
    prepared = npz(workspace, **{x: random_images(20, 4, 4), y: np.arange(20) % 2 == 1})
    assert prepared.classes == ("0", "1")


def test_arrays_that_are_not_used_are_named(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    labels = np.arange(20) % 2
    npz(workspace, x_train=random_images(20, 4, 4), y_train=labels, extra=labels, groups=labels)
    assert "arrays that are not used: extra, groups" in caplog.text


@pytest.mark.parametrize("left_out", ["x_val", "y_val", "x_test", "y_test", "x_train", "y_train"])
def test_half_a_part_is_refused(workspace: Workspace, left_out: str) -> None:
    arrays = {
        f"{kind}_{part}": random_images(20, 4, 4) if kind == "x" else np.arange(20) % 2
        for part in ("train", "val", "test")
        for kind in ("x", "y")
        if f"{kind}_{part}" != left_out
    }
    with pytest.raises(DataError, match=f"mine.npz has no array '{left_out}'"):
        npz(workspace, **arrays)


def test_two_arrays_for_one_part_are_refused(workspace: Workspace) -> None:
    labels = np.arange(20) % 2
    with pytest.raises(DataError, match="'x_train' and 'train_images' both name the train images"):
        npz(workspace, x_train=random_images(20, 4, 4), train_images=random_images(20, 4, 4), y_train=labels)


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((20, 3, 16, 16), r"images\.transpose\(0, 2, 3, 1\)"),
        ((20, 1, 28, 28), r"images\.transpose\(0, 2, 3, 1\)"),
        ((20, 3, 16, 24), r"images\.transpose\(0, 2, 3, 1\)"),
        ((20, 13, 64, 64), r"images\.transpose\(0, 2, 3, 1\)"),
        ((16, 16, 3, 20), r"images\.transpose\(3, 0, 1, 2\)"),
        ((16, 16, 20), r"images\.transpose\(2, 0, 1\)"),
        ((20, 784), r"images\.reshape\(-1, 28, 28\)"),
    ],
)
def test_a_layout_that_would_be_read_wrongly_is_refused_with_advice(
    workspace: Workspace, shape: tuple[int, ...], advice: str
) -> None:
    with pytest.raises(DataError, match=advice):
        npz(workspace, images=random_images(*shape), labels=np.arange(20) % 2)


@pytest.mark.parametrize("shape", [(3, 16, 3), (4, 4, 4), (3, 3, 1), (64, 64, 13), (2, 16, 2), (16, 16, 4)])
def test_every_other_layout_is_read(workspace: Workspace, shape: tuple[int, ...]) -> None:
    prepared = npz(workspace, images=random_images(20, *shape), labels=np.arange(20) % 2)
    assert prepared.image_shape == shape


def test_16_bits_and_one_column_a_class_get_advice(workspace: Workspace) -> None:
    images, labels = random_images(20, 4, 4), np.arange(20) % 2
    with pytest.raises(DataError, match=r"uint16 .* bring 16 bits to 8"):
        npz(workspace, images=images.astype(np.uint16) * 257, labels=labels)
    with pytest.raises(DataError, match=r"labels\.argmax\(axis=1\)"):
        npz(workspace, images=images, labels=np.eye(2, dtype=int)[labels])


NO_PICKLE = r"mine\.npz can't be read as an npz file of plain arrays: .*allow_pickle"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"images": None}, r"mine\.npz has no array 'images': .* Received: labels"),
        ({"labels": None}, r"mine\.npz has no array 'labels'"),
        (
            {"images": random_images(20, 4, 4) / 255},
            r"images must be uint8 .* Received: float64 \(20, 4, 4\)",
        ),
        ({"images": random_images(20, 16)}, r"images must be uint8 .* Received: uint8 \(20, 16\)"),
        ({"labels": np.arange(20) % 2 * 1.0}, r"labels must be 20 whole numbers or texts.* float64"),
        ({"labels": np.arange(19) % 2}, r"labels must be 20 .* Received: int64 \(19,\)"),
        ({"labels": np.array([0, 1] * 9 + [0, -3])}, r"mine\.npz: labels, row 19: label -3 is out of range"),
        ({"labels": np.array([0, 1] * 9 + [0, 7])}, r"mine\.npz: labels, row 19: label 7 is out of range"),
        ({"labels": np.array([{}] * 20)}, NO_PICKLE),
    ],
)
def test_bad_arrays_are_named(workspace: Workspace, changes: dict[str, np.ndarray | None], told: str) -> None:
    good = {"images": random_images(20, 4, 4), "labels": np.arange(20) % 2}
    arrays = {key: value for key, value in {**good, **changes}.items() if value is not None}
    with pytest.raises(DataError, match=told):
        npz(workspace, **arrays)


@pytest.mark.parametrize("keep", [0, 100, -30, -1])
def test_a_damaged_npz_file_is_named(workspace: Workspace, keep: int) -> None:
    np.savez(workspace.root / "mine.npz", images=random_images(20, 4, 4), labels=np.arange(20) % 2)
    file = workspace.root / "mine.npz"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"mine\.npz can't be read as an npz file"):
        prepare(Data(source="npz", path="mine.npz"), workspace)


def test_a_single_array_is_no_npz_file(workspace: Workspace) -> None:
    np.save(workspace.root / "mine.npy", random_images(20, 4, 4))
    with pytest.raises(DataError, match=r"mine\.npy can't be read as an npz file .*single array"):
        prepare(Data(source="npz", path="mine.npy"), workspace)


# Options and real data


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"source": "folder"}, "needs the option 'path'"),
        ({"source": "folder", "path": 3}, "path must be a text"),
        ({"source": "folder", "path": "x", "size": "32"}, "size must be a number ≥ 1 or"),
        ({"source": "folder", "path": "x", "size": [32]}, "size must be a number ≥ 1 or"),
        ({"source": "folder", "path": "x", "size": [32, 0]}, "size must be a number ≥ 1 or"),
        ({"source": "parquet", "train": "x", "test": ""}, "test must be a number"),
        ({"source": "parquet", "train": "x", "classes": "abc"}, "classes must be a list"),
        ({"source": "parquet", "train": "x", "classes": [0, 1]}, "in quotes if it looks like a number"),
        ({"source": "npz", "path": "x", "classes": ["a", "a"]}, "at least two different names"),
    ],
)
def test_options_that_are_not_allowed_are_named(
    workspace: Workspace, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        prepare(Data(**options), workspace)


def test_real_photos_in_a_users_parquet_are_prepared(workspace: Workspace, shared: Path) -> None:
    """The first 2,000 images of CIFAR-10 (JPEG)."""
    with pq.ParquetFile(shared / "datasets" / "cifar10-jpeg-train.parquet") as file:
        batch = next(file.iter_batches(batch_size=2000))
    pq.write_table(pa.Table.from_batches([batch]), workspace.root / "some.parquet")
    prepared = prepare(Data(source="parquet", train="some.parquet", validation=200, test=100), workspace)
    verify(prepared)
    assert prepared.image_shape == (32, 32, 3)
    assert prepared.sizes == {"train": 1700, "validation": 200, "test": 100}
    assert prepared.classes == tuple("0123456789")
    # The published statistics of CIFAR-10 are 125.3, 123.0, 113.9 and 63.0, 62.1, 66.7.
    assert prepared.mean == pytest.approx([125.3, 123.0, 113.9], abs=4)
    assert prepared.std == pytest.approx([63.0, 62.1, 66.7], abs=3)


def test_labels_of_bytes_are_texts(workspace: Workspace) -> None:
    images = np.arange(20 * 16, dtype=np.uint16).reshape(20, 4, 4).astype(np.uint8)
    prepared = npz(workspace, images=images, labels=np.array(["é".encode(), b"cat"] * 10))
    assert set(every_image(prepared).values()) == {"cat", "é"}


def test_labels_of_bytes_that_are_no_text_are_refused(workspace: Workspace) -> None:
    images = np.zeros((20, 4, 4), np.uint8)
    with pytest.raises(DataError, match="not UTF-8"):
        npz(workspace, images=images, labels=np.array([b"\xff", b"cat"] * 10))
