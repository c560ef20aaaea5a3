"""`nas show`: one architecture, or one child with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from nas import winner
from nas.cli.common import (
    PROXY,
    AsJson,
    MaybeName,
    chosen_seeds,
    clock,
    count,
    examples,
    kind_of,
    print_json,
    screen,
)
from nas.cli.records import readable_experiment, readable_records, record_of
from nas.cli.tables import number
from nas.errors import InputError
from nas.experiment import Experiment, winner_text
from nas.search.folders import read_json
from nas.search.rewards import rejudging, rule_of, shown
from nas.search.rows import Child
from nas.spaces import (
    Architecture,
    Choice,
    Cost,
    Line,
    Pick,
    Point,
    StepList,
    UnknownArchitecture,
    overrides_in_words,
    parse_architecture,
)
from nas.training.recipe import Recipe
from nas.workspace import Workspace

BARS = "▁▂▃▄▅▆▇█"


def add_to(app: typer.Typer) -> None:
    """Adds this file's command."""
    app.command(
        "show",
        epilog=examples(
            "nas show 7 digits-conv",
            "nas show conv:3x3x24@0,5x5x36@1",
            "nas show winner:digits-conv",
            "nas show cell:zoph-le-2017 --draw cell.svg",
            "nas show nasnet:nasnet-a",
            "nas show digits-conv --space --draw space.png",
        ),
    )(show)


def show(
    what: Annotated[
        str,
        typer.Argument(
            metavar="ARCHITECTURE|CHILD",
            help="The text form, winner:EXPERIMENT, the number of a child, or with --space an experiment.",
        ),
    ],
    experiment: MaybeName = "",
    seed: Annotated[int | None, typer.Option(help="The child is of the search with this seed.")] = None,
    draw: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write its drawing to this file, .svg or .png.")
    ] = None,
    theme: Annotated[
        str, typer.Option(help="Colours of the drawing, light or dark; an SVG has by itself those preferred.")
    ] = "",
    space: Annotated[bool, typer.Option("--space", help="Show an experiment's search space.")] = False,
    as_json: AsJson = False,
) -> None:
    """Shows an architecture: its layers or nodes, sizes, parameters, multiply-adds; of a child all results.

    Sizes are for the data of EXPERIMENT. An architecture shown without one gets images of 32×32×3 and 10
    classes, a recurrent cell 200 units, a pair of convolutional cells states of 32×32×96 and 32 filters; a
    child needs none if the workspace holds searches of a single experiment, and the winner of one is shown as
    that experiment's finals trained it.

    JSON: {"text", "architecture", "input_shape", "outputs", "parameters", "multiply_adds", "model": null or
    {"parameters", "multiply_adds"} of the whole network around a cell, "layers":
    [{"layer", "what", "inputs", "output_shape", "parameters", "multiply_adds"}], "child": null or {"number",
    "experiment", "seed", "round", "status", "reward", "score", "proxy", "attempts", "slot", "tokens",
    "overrides", "log_probability", "policy_version", "result"}}
    """
    workspace = Workspace.here()
    if space:
        _show_space(readable_experiment(what, workspace), draw, theme, as_json)
        return
    child: dict[str, Any] | None = None
    overrides: Mapping[str, Any] = {}
    loaded = readable_experiment(experiment, workspace) if experiment else None
    if what.isdecimal():
        loaded = loaded or _only_experiment(workspace)
        row = _child(int(what), loaded, workspace, seed)
        architecture, overrides = row.proposal.architecture, row.proposal.overrides
        child = _child_json(row, loaded, seed)
    elif (winning := winner.experiment_of(what)) is not None:
        architecture = parse_architecture(winner_text(winning, workspace))
        loaded = loaded or _experiment_here(winning, workspace)
        if loaded is not None and loaded.recipe is not None:
            overrides = _as_finals_trained(architecture, winning, loaded, workspace)
    else:
        architecture = parse_architecture(what)
    if isinstance(architecture, UnknownArchitecture) and child is not None:
        _show_unknown(architecture, child, as_json)
        return
    shape, outputs, model = _sizes(architecture, loaded, workspace, overrides)
    if draw is not None:
        recipe = loaded.recorded_recipe(overrides) if loaded and loaded.recipe is not None else None
        _write_drawing(architecture, recipe, (shape, outputs), draw, theme)
    lines = architecture.lines(shape, outputs)
    if as_json:
        cost = architecture.cost(shape, outputs)
        print_json(
            {
                "text": architecture.text(),
                "architecture": architecture.to_json(),
                "input_shape": list(shape),
                "outputs": outputs,
                "parameters": cost.parameters,
                "multiply_adds": cost.multiply_adds,
                "model": model and asdict(model),
                "layers": [line.to_json() for line in lines],
                "child": child,
            }
        )
        return
    if child is not None:
        _show_child(child)
    _show_architecture(architecture, lines, shape, outputs, model, supposed=loaded is None)


def _only_experiment(workspace: Workspace) -> Experiment:
    files = readable_records(workspace)
    of_all = [name for name in files[-1].names if all(name in file.names for file in files)] if files else []
    if not of_all:
        there = ", ".join(sorted({name for file in files for name in file.names})) or "none was begun here"
        raise InputError(f"name the experiment of the child, as in `nas show 7 digits-conv` ({there})")
    return readable_experiment(of_all[0], workspace)


def _experiment_here(name: str, workspace: Workspace) -> Experiment | None:
    """The experiment `name`, or None if it or its prepared data are not here."""
    try:
        found = readable_experiment(name, workspace)
    except InputError:
        return None
    return found if workspace.prepared(found.data.name).is_dir() else None


def _as_finals_trained(
    architecture: Architecture, winning: str, experiment: Experiment, workspace: Workspace
) -> dict[str, Any]:
    """Recipe fields with which the finals of `experiment` train an architecture.

    Those that the grid and the winner's own overrides, as the size of its stack, chose are added where it is
    the winner of this very experiment.
    """
    chosen: dict[str, Any] = {}
    if experiment.name == winning:
        story = read_json(workspace.models(winning) / "final.json")["winner"]
        point, recipe = story.get("grid_point"), story.get("recipe")
        chosen = dict(point) if isinstance(point, dict) else {}
        if isinstance(recipe, dict) and isinstance(stack := recipe.get("stack"), dict):
            chosen["stack"] = stack
    return {**experiment.final.recipe, **chosen, **experiment.built_recipe().required_by(architecture)}


def _child(wanted: int, experiment: Experiment, workspace: Workspace, seed: int | None) -> Child:
    file, _ = record_of(experiment.with_seed(chosen_seeds(experiment, seed)[0]), workspace)
    with file.open() as record:
        return record.child(wanted)


def _sizes(
    architecture: Architecture,
    experiment: Experiment | None,
    workspace: Workspace,
    overrides: Mapping[str, Any],
) -> tuple[tuple[int, ...], int, Cost | None]:
    """Input shape and outputs of the architecture, and the size of the model around it if it is a part.

    `overrides` are a child's own fields of the recipe.
    """
    from nas import datasets

    if experiment is None or experiment.recipe is None:
        return *architecture.shown_for, None
    folder = workspace.prepared(experiment.data.name)
    if not folder.is_dir():
        raise InputError(
            f"the data of '{experiment.name}' is not prepared yet: `nas data {experiment.name}` prepares it"
        )
    data, recipe = datasets.load(folder), experiment.recorded_recipe(overrides)
    shape, outputs = recipe.shapes(architecture, data)
    model = recipe.cost(architecture, data)
    return shape, outputs, model if model != architecture.cost(shape, outputs) else None


def _child_json(child: Child, experiment: Experiment, seed: int | None) -> dict[str, Any]:
    rule = rule_of(experiment)
    if (anew := rejudging(experiment)) is not None:
        child = child.judged(anew)
    result = child.result
    return {
        "number": child.number,
        "experiment": experiment.name,
        "seed": chosen_seeds(experiment, seed)[0],
        "round": child.batch,
        "status": child.status,
        "reward": result.reward if result else None,
        "score": rule.score(result) if result else None,
        "proxy": kind_of(experiment.name) == PROXY,
        "attempts": child.attempts,
        "slot": child.slot,
        "tokens": list(child.proposal.tokens),
        "overrides": dict(child.proposal.overrides),
        "log_probability": child.proposal.log_probability,
        "policy_version": child.proposal.policy_version,
        "result": result.to_json() if result else None,
    }


def _show_child(child: dict[str, Any]) -> None:
    console = screen()
    result = child["result"]
    console.print(
        f"[bold]child {child['number']}[/] of {escape(child['experiment'])}, seed {child['seed']}, "
        f"round {child['round']}: [bold]{child['status']}[/]"
    )
    if result and result["message"]:
        console.print(f"  {escape(result['message'])}")
    facts = Table.grid(padding=(0, 2))
    if result:
        facts.add_row(f"  reward ({kind_of(child['experiment'])})", number(child["reward"]))
        facts.add_row(f"  score ({kind_of(child['experiment'])})", number(child["score"]))
        facts.add_row(
            "  time",
            f"{clock(result['train_seconds'])} training, {clock(result['overhead_seconds'])} around it",
        )
        if result["peak_memory_bytes"]:
            facts.add_row("  peak memory", f"{result['peak_memory_bytes'] / 2**20:.0f} MiB")
        facts.add_row("  device", escape(result["device"]))
        for metric, values in curves(result["history"]).items():
            facts.add_row(f"  {metric}", f"{spark(values)}  {shown(values[0])} → {shown(values[-1])}")
    facts.add_row("  seed of its training", str(result["seed"]) if result else "–")
    facts.add_row("  tokens", " ".join(map(str, child["tokens"])) or "–")
    facts.add_row("  log-probability", f"{child['log_probability']:.4f}, policy {child['policy_version']}")
    if child["overrides"]:
        facts.add_row("  recipe overrides", escape(overrides_in_words(child["overrides"])))
    console.print(facts)


def _show_unknown(architecture: UnknownArchitecture, child: dict[str, Any], as_json: bool) -> None:
    """A child whose architecture can't be read: all that is known of it but its layers."""
    if as_json:
        unknown = dict.fromkeys(("input_shape", "outputs", "parameters", "multiply_adds", "model"))
        form = architecture.to_json()
        print_json(
            {"text": architecture.text(), "architecture": form, **unknown, "layers": [], "child": child}
        )
        return
    _show_child(child)
    console = screen()
    console.print(f"[bold]{escape(architecture.text())}[/]", soft_wrap=True)
    console.print(f"nothing is told of its layers: {escape(architecture.reason)}", soft_wrap=True)


def _show_architecture(
    architecture: Architecture,
    lines: Sequence[Line],
    shape: tuple[int, ...],
    outputs: int,
    model: Cost | None,
    *,
    supposed: bool,
) -> None:
    console = screen()
    cost = architecture.cost(shape, outputs)
    note = " (supposed; name an experiment for its own data)" if supposed else ""
    console.print(f"[bold]{escape(architecture.text())}[/]", soft_wrap=True)
    console.print(
        f"{cost.parameters:,} parameters, {cost.multiply_adds:,} multiply-adds for "
        f"{shapes_in_words(shape, outputs, stacked=architecture.stacked)}{note}"
    )
    if model is not None:
        console.print(
            f"with all around it {model.parameters:,} parameters, {model.multiply_adds:,} multiply-adds"
        )
    table = Table(box=None, padding=(0, 1))
    for name in ("layer", "what", "inputs", "output"):
        table.add_column(name, overflow="fold")
    for name in ("parameters", "multiply-adds"):
        table.add_column(name, justify="right")
    for line in lines:
        table.add_row(
            line.layer,
            line.what,
            line.inputs,
            "×".join(map(str, line.output_shape)),
            f"{line.parameters:,}",
            count(line.multiply_adds),
        )
    console.print(table)


def curves(history: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    """The measured values by epoch: what every epoch has, without times."""
    if not history:
        return {}
    names = [name for name in history[0] if "seconds" not in name]
    return {name: [epoch[name] for epoch in history] for name in names if all(name in e for e in history)}


def spark(values: Sequence[float]) -> str:
    """A small curve of text, from the lowest value to the highest; `×` where it is NaN.

    Example:
        >>> spark([0.0, 0.5, 1.0])
        '▁▅█'
    """
    finite = [value for value in values if abs(value) < float("inf")]
    if not finite:
        return "×" * len(values)
    low, span = min(finite), max(finite) - min(finite)
    return "".join(
        BARS[round((value - low) / span * (len(BARS) - 1)) if span else 0] if value in finite else "×"
        for value in values
    )


def _write_drawing(
    architecture: Architecture,
    recipe: Recipe | None,
    sizes: tuple[tuple[int, ...], int],
    path: Path,
    theme: str,
) -> None:
    """Draws an architecture as `recipe` trains it, with `sizes`; the file's ending says how.

    Raises:
        InputError: the ending or the theme is unknown, or the file can't be written.
    """
    from nas.report.drawings import draw_trained, save
    from nas.report.drawings.styles import known_theme

    save(draw_trained(architecture, recipe, sizes), path, known_theme(theme) if theme else None)


def _show_space(experiment: Experiment, path: Path | None, theme: str, as_json: bool) -> None:
    """Lists the decisions of an experiment's space in order, and draws them if there is a path.

    JSON: {"experiment", "depth", "size", "decisions": [{"decision", "options": a list, or how many earlier
    points may be chosen from, "tokens"}]}
    """
    from nas.report.drawings import draw_decisions, save
    from nas.report.drawings.styles import known_theme

    space = experiment.built_space
    depth = space.depth.start
    steps = space.steps(depth)
    if path is not None:
        save(draw_decisions(space), path, known_theme(theme) if theme else None)
    rows = [
        (step.name, list(step.options) if isinstance(step, Choice) else steps.points[index], index)
        for index, step in enumerate(steps)
        if not isinstance(step, Point)
    ]
    if as_json:
        decisions = [
            {"decision": name, "options": options, "tokens": steps.widths[index]}
            for name, options, index in rows
        ]
        size = space.size(depth)
        print_json({"experiment": experiment.name, "depth": depth, "size": size, "decisions": decisions})
        return
    console = screen()
    table = Table(box=None, padding=(0, 1))
    for column in ("decision", "options"):
        table.add_column(column, overflow="fold")
    for name, _, index in rows:
        table.add_row(escape(name), escape(_options(steps, index)))
    console.print(
        f"[bold]{escape(experiment.space.name)}[/], the space of {escape(experiment.name)}: "
        f"{sum(steps.widths)} decisions, {space.size(depth):,} token strings at depth {depth}"
    )
    console.print(table)


def _options(steps: StepList, index: int) -> str:
    step = steps[index]
    if isinstance(step, Choice):
        return ", ".join(map(str, step.options))
    one = isinstance(step, Pick)
    return f"{'one' if one else 'any'} of {steps.points[index]} earlier points"


def shapes_in_words(shape: tuple[int, ...], outputs: int, *, stacked: bool = False) -> str:
    """An architecture's input shape and outputs for people; `stacked`: it is a convolutional cell.

    Example:
        >>> shapes_in_words((32, 32, 3), 10), shapes_in_words((200,), 200)
        ('images of 32×32×3, 10 classes', '200 inputs and 200 units, one time step')
    """
    if len(shape) == 1:
        return f"{shape[0]:,} inputs and {outputs:,} units, one time step"
    size = "×".join(map(str, shape))
    return f"states of {size}, {outputs} filters" if stacked else f"images of {size}, {outputs} classes"
