"""`nas transfer`: retrains a found cell on other data, as on larger images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.common import Track, examples, experiment_path
from nas.cli.scale import Cell, Epochs, Force, From, checked_cell, finals_of, run, written_out
from nas.errors import InputError
from nas.experiment import Data, read_yaml
from nas.workspace import Workspace

IMAGE_SIZES = {"imagenet": 224}
"""Of a folder's images, by stack, if none is named; else `IMAGE_SIZE`."""

IMAGE_SIZE = 32


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command(
        "transfer",
        epilog=examples(
            "nas transfer winner:digits-cells --data data/raw/flowers --stack imagenet --image-size 128",
            "nas transfer winner:digits-cells --data my-images --sizes 2@16,4@24 --epochs 50",
            "nas transfer nasnet:nasnet-a --from cifar10-nasnet --data data/raw/flowers --stack imagenet",
        ),
    )(transfer)


def transfer(
    cell: Cell,
    data: Annotated[
        str,
        typer.Option(
            metavar="FOLDER|EXPERIMENT",
            help="A folder with one folder of images for each class, or an experiment whose data are taken.",
            show_default=False,
        ),
    ],
    stack: Annotated[
        str,
        typer.Option(
            help="cifar (for images of about 32×32) or imagenet (its stem halves three times, for larger "
            "ones); that of the finals if it is not named.",
            show_default=False,
        ),
    ] = "",
    sizes: Annotated[
        str,
        typer.Option(
            metavar="N@F,…", help="As for `nas scale`; else the stack's own size.", show_default=False
        ),
    ] = "",
    image_size: Annotated[
        int | None,
        typer.Option(
            min=8,
            help="Height and width of what the network gets; 224 for the stack imagenet, else 32, if it is "
            "not named. Images of a folder are prepared at 8/7 of it, in their proportions, so that random "
            "regions are rarely enlarged; the central 7/8 is what evaluations see.",
            show_default=False,
        ),
    ] = None,
    source: From = "",
    epochs: Epochs = None,
    name: Annotated[
        str,
        typer.Option(
            help="Of the experiment that is made; EXPERIMENT-on-DATA if it is not named.", show_default=False
        ),
    ] = "",
    force: Force = False,
    track: Track = True,
) -> None:
    """Retrains a cell on another data set, with the augmentation that larger images are trained with.

    It writes an ordinary experiment, experiments/NAME.yaml, and runs it as `nas search` does: stopped or
    killed, the same command goes on. The recipe is that of the finals of EXPERIMENT (see `nas scale`), but
    images are varied as those of ImageNet are: random regions, mirrored, random colours. The
    file is yours to change (`flip: false` where left and right matter), and `nas search NAME` runs it then.

    Accuracy is that on validation data; `nas finalize NAME` and `nas evaluate NAME` go on to the test.
    """
    from nas import datasets
    from nas.final import scaling

    workspace = Workspace.here()
    chosen = scaling.parse_sizes(sizes) if sizes else []
    text, source = checked_cell(cell, source, workspace)
    tree, recipe_of = finals_of(source, text, workspace)
    wanted = image_size or IMAGE_SIZES.get(scaling.stack_name(tree, stack), IMAGE_SIZE)
    found, size = _data(data, image_size, wanted, workspace)
    prepared = datasets.prepare(Data(**found), workspace)
    if not isinstance(prepared, datasets.PreparedImages):
        raise InputError(f"a cell is trained on images; '{prepared.name}' holds {prepared.kind}")
    called = str(found.get("name") or found.get("source"))
    made = scaling.transferred(
        tree,
        text,
        chosen,
        data=found,
        image_size=size,
        colours=prepared.image_shape[-1] > 1,
        stack=stack or None,
        about=f"{text} on {called}, as {source} trains its finals",
        epochs=epochs,
    )
    name = name or f"{Path(source).stem}-on-{called}"
    options = {
        "--from": source,
        "--data": data,
        "--stack": stack,
        "--sizes": sizes,
        "--image-size": image_size,
        "--epochs": epochs,
        "--name": name,
    }
    command = written_out("transfer", text, options)
    run(name, made, command, workspace, recipe_of=recipe_of, force=force, track=track)


def _data(
    named: str, image_size: int | None, wanted: int, workspace: Workspace
) -> tuple[dict[str, Any], int | None]:
    """The YAML of the data, and the size of the images that the network gets; None: their own.

    Raises:
        InputError: there is neither such an experiment nor such a folder.
    """
    from nas.final.scaling import LARGE_IMAGES

    file = experiment_path(named, workspace)
    if file.is_file():
        found = read_yaml(file, "no experiment").get("data")
        if not isinstance(found, dict) or not found.get("source"):
            raise InputError(f"{file} has no data with a source")
        own = found.get("size")
        return found, image_size or (own if isinstance(own, int) else None)
    folder = workspace.root / named
    if not folder.is_dir():
        raise InputError(f"--data names neither an experiment ({file}) nor a folder ({folder})")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-.") or "images"
    size = round(wanted / LARGE_IMAGES["central_fraction"])  # of which evaluations see the centre
    found = {"source": "folder", "name": f"{name}-{size}", "path": named, "size": size, "fit": "crop"}
    return found, wanted
