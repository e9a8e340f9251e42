"""The command line. Every command is a thin call into the package; heavy imports wait until a command needs them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from limbeck.cli.data import app as data_app
from limbeck.cli.terminal import Overrides, RunFile, err, out, say
from limbeck.errors import Interrupted, LimbeckError
from limbeck.version import VERSION

if TYPE_CHECKING:
    from limbeck.config import RunConfig
    from limbeck.deploy.runtime.class_map import Tiles

MAX_OVERLAP = 0.9
"""With more, the same pixels would be looked at a hundred times."""


class _Commands(TyperGroup):
    """Turns Ctrl-C into our own error; typer would end without a word."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("Stopped.", hint="run the same command again; a run goes on where it stopped") from None


app = typer.Typer(
    name="limbeck",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Distil heavy perception models into light ones, and prove that it worked.",
)
config_app = typer.Typer(no_args_is_help=True, help="Look at run files.")
app.add_typer(config_app, name="config")
app.add_typer(data_app, name="data")

TileOverlap = Annotated[
    float | None,
    typer.Option(
        help="Look at large images in tiles of the network's size that overlap by this share, at least (segmenters).",
        callback=lambda value: _score(value),
    ),
]
ModelFile = Annotated[Path, typer.Argument(help="A weight file (.safetensors) or a bundle folder.", show_default=False)]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end with its exit code: 2 for what the user can mend, 1 for a failure of the run."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        app([argument for argument in arguments if argument != "--debug"], prog_name="limbeck")
    except LimbeckError as error:
        if debug:
            raise
        if isinstance(error, Interrupted):
            err.print(escape(str(error)), soft_wrap=True)
        else:
            _complain(str(error))
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if debug or (error.name or "").startswith("limbeck"):
            raise
        extra = "runtime" if error.name == "onnxruntime" else "train"
        _complain(f"this command needs the package '{error.name}'\n  hint: pip install 'limbeck[{extra}]'")
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        _complain(f"unexpected {type(error).__name__}: {error}\n  hint: --debug shows where; please report it")
        sys.exit(1)


def _complain(text: str) -> None:
    err.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True)


def _print_version(asked: bool) -> None:
    if asked:
        print(f"limbeck {VERSION}")
        raise typer.Exit


def _score(value: float | None) -> float | None:
    """Refuse what is no score, nan too, which the ``min`` and ``max`` of an option may let through."""
    if value is not None and not 0 <= value <= 1:
        raise typer.BadParameter(f"must be from 0 to 1, was given {value}")
    return value


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Distil heavy perception models into light ones, and prove that it worked."""


@app.command()
def distill(run_file: RunFile, overrides: Overrides = None) -> None:
    """Do the whole job: doctor, teacher, control, student, evaluation, export, report.

    A run that was stopped goes on where it stopped.

    Example: `limbeck distill run.yaml train.epochs=24`
    """
    from limbeck.pipeline import distill as run_pipeline

    _show(run_pipeline(_load(run_file, overrides), say))


@app.command()
def demo(
    task: Annotated[
        Literal["detection2d", "segmentation", "detection3d"],
        typer.Option(help="What is distilled: a detector, a segmenter or a LiDAR detector."),
    ] = "detection2d",
    quick: Annotated[bool, typer.Option("--quick", help="A shorter run that only shows that all works.")] = False,
    runs_dir: Annotated[Path, typer.Option(help="Where the run folder goes.")] = Path("runs"),
) -> None:
    """Distil a model on data that comes with limbeck: photographs of wagons or of potholes, or simulated clouds.

    The teacher of the segmenter sees the disparity too; its student sees the photograph alone. The clouds for the LiDAR
    detector are made first.

    Example: `limbeck demo --task segmentation`
    """
    from limbeck.demo.run import demo_config
    from limbeck.pipeline import distill as run_pipeline

    _show(run_pipeline(demo_config(runs_dir, task, quick=quick), say))


@app.command()
def compare(
    comparison_file: Annotated[Path, typer.Argument(help="The comparison file (YAML).", show_default=False)],
    overrides: Overrides = None,
) -> None:
    """Train several methods with several seeds, and compare them with the same student without distillation.

    A comparison that was stopped goes on where it stopped; rows and seeds can be added later.

    Example: `limbeck compare comparison.yaml train.epochs=24`
    """
    from limbeck.cli.table import rows_table
    from limbeck.comparison.config import load_comparison
    from limbeck.comparison.run import compare as run_comparison
    from limbeck.report.comparison import notes
    from limbeck.run_folder import FIRST_PROCESS

    outcome = run_comparison(load_comparison(comparison_file, overrides or ()), say)
    if FIRST_PROCESS:
        out.print(rows_table(outcome))
        for line in (*notes(outcome), f"table: {outcome.table}", f"plot: {outcome.plot}"):
            say(line)


@app.command()
def train(
    run_file: RunFile,
    overrides: Overrides = None,
    role: Annotated[
        Literal["teacher", "control", "student"], typer.Option(help="Which of the run's models to train.")
    ] = "control",
) -> None:
    """Train one model of a run: the teacher, the plain control, or the distilled student.

    Example: `limbeck train run.yaml --role teacher`
    """
    from limbeck.pipeline import Run

    run = Run(_load(run_file, overrides), say)
    work: dict[str, Callable[[], None]] = {
        "teacher": run.train_teacher,
        "control": run.train_control,
        "student": run.train_student,
    }
    run.step(role, work[role], everywhere=True)
    run.say(f"weights: {run.weights_of(role)}")


@app.command()
def doctor(run_file: RunFile, overrides: Overrides = None) -> None:
    """Look at data, teacher, losses, gradients and memory before a long training.

    It ends with a sentence on the whole, and with exit code 2 if something must be mended first.

    Example: `limbeck doctor run.yaml`
    """
    from limbeck.tasks.load import load_task
    from limbeck.workshop import best_device, check_teacher_checkpoint, diagnose

    config = _load(run_file, overrides)
    check_teacher_checkpoint(config)
    diagnose(config, load_task(config, verify_pixels=True), best_device(), say)


@app.command("eval")
def evaluate(
    model: ModelFile,
    run_file: RunFile,
    overrides: Overrides = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Score above which an image is detected; the page of a run names one.", callback=_score),
    ] = None,
    tile_overlap: TileOverlap = None,
) -> None:
    """Measure a model on the validation data of a run file, and on its test data if it has any.

    CDR, MDR and FDR are the shares of images that a detector judges rightly, misses and detects falsely. Without a
    threshold they are shown if there are test data, at the threshold that is best on the validation data; on these
    alone they would be flattered.

    Example: `limbeck eval runs/demo/student/best.safetensors run.yaml --threshold 0.4`
    """
    from limbeck.cli.evaluate import evaluate_model

    evaluate_model(model, _load(run_file, overrides), threshold=threshold, tiles=_tiles(tile_overlap))


@app.command()
def rates(
    run_dirs: Annotated[
        list[Path], typer.Argument(help="Folders of runs or comparisons, one per data set.", show_default=False)
    ],
) -> None:
    """Print the image-level rates of finished runs with memory, time and sizes, and the means over the data sets.

    A row per data set and model: on the test images if there are any, else on the validation images.

    Example: `limbeck rates runs/plugs runs/valves`
    """
    from limbeck.cli.table import rates_table
    from limbeck.report.rates import rates_notes, read_rates

    rows = read_rates(run_dirs)
    out.print(rates_table(rows))
    for line in rates_notes(rows):
        say(line)


@app.command()
def predict(
    model: ModelFile,
    files: Annotated[
        list[Path], typer.Argument(help="Images or point clouds, or folders of them.", show_default=False)
    ],
    save: Annotated[Path | None, typer.Option(help="Write what was found to this json file.")] = None,
    draw: Annotated[
        Path | None,
        typer.Option(help="Write pictures with boxes or classes into this folder; of a cloud, as seen from above."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Write the class of every pixel as png into this folder (segmenters).")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Leave out detections below this score; 0.3 if not given.", callback=_score)
    ] = None,
    tile_overlap: TileOverlap = None,
) -> None:
    """Find objects in images or in point clouds (npy, bin, ply, pcd), or the class of every pixel of images.

    A bundle is run by ONNX Runtime and needs no torch.

    Example: `limbeck predict runs/demo/bundle wagon.jpg --draw drawn`
    """
    from limbeck.cli.predict import predict_files

    tiles = _tiles(tile_overlap)
    predict_files(model, files, save=save, draw=draw, masks=masks, min_score=min_score, tiles=tiles, say=say)


@app.command()
def export(
    weights: Annotated[Path, typer.Argument(help="A weight file (.safetensors).", show_default=False)],
    run_file: RunFile,
    overrides: Overrides = None,
    to: Annotated[Path, typer.Option("--to", help="The bundle folder to write.")] = Path("bundle"),
) -> None:
    """Export a model to ONNX and refuse it if it answers differently on the validation images.

    Example: `limbeck export runs/demo/student/best.safetensors run.yaml --to bundle`
    """
    from limbeck.pipeline import export_weights
    from limbeck.tasks.load import load_task

    config = _load(run_file, overrides)
    say(f"bundle: {export_weights(weights, load_task(config), config, to, say)}")


@app.command()
def bench(
    models: Annotated[
        list[Path], typer.Argument(help="Weight files (.safetensors) and bundle folders.", show_default=False)
    ],
    threads: Annotated[
        list[int] | None, typer.Option(help="Processor threads; may be given several times. 1 if not given.", min=1)
    ] = None,
    runs: Annotated[int, typer.Option(help="Images or point clouds that are timed.", min=1)] = 100,
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help="Width and height of the input of weight files (images); those of the training if not given."
        ),
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Write the numbers to this json file.")] = None,
) -> None:
    """Measure what models cost on this machine: time per image or point cloud, memory and size.

    A bundle is run by ONNX Runtime in a process of its own and needs no torch, a weight file by PyTorch. Of a LiDAR
    detector the bundle is timed from a cloud to the final boxes, and the weight file without sorting and choice.

    Example: `limbeck bench runs/demo/bundle runs/demo/teacher/best.safetensors --threads 1 --threads 2`
    """
    from limbeck.cli.bench import bench_models

    bench_models(models, threads=threads or [1], runs=runs, size=size, save=save)


@app.command()
def report(run_dir: Annotated[Path, typer.Argument(help="A run folder.", show_default=False)]) -> None:
    """Write the report of a finished run again.

    Example: `limbeck report runs/demo`
    """
    from limbeck.report.page import write_report

    say(f"report: {write_report(run_dir)}")


@app.command()
def methods() -> None:
    """List the methods, the models and the presets, with their settings.

    Example: `limbeck methods`
    """
    from limbeck.lookup import find_method, find_model, names, preset, presets

    found: dict[str, Any] = {name: find_method(name) for name in names("method")}
    _list_settings("method", found)
    _list_settings("model", {name: find_model(name) for name in names("model")})
    table = Table("preset", "what it stands for")
    for name in presets():
        table.add_row(name, ", ".join(f"{key}: {value}" for key, value in preset(name).items()))
    out.print(table)


def _list_settings(kind: str, found: dict[str, Any]) -> None:
    table = Table(kind, "what it is, and its settings")
    for name, what in found.items():
        first_line = (what.__doc__ or "").strip().split("\n")[0]
        settings = ", ".join(field for field in what.Config.model_fields if field not in ("name", "model"))
        table.add_row(name, "\n".join(filter(None, [first_line, settings])), end_section=True)
    out.print(table)


@config_app.command("show")
def config_show(
    run_file: Annotated[Path | None, typer.Argument(help="The run file (YAML).", show_default=False)] = None,
    overrides: Overrides = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of run files.")] = False,
) -> None:
    """Print a run file with all defaults filled in, or the JSON schema of run files.

    Example: `limbeck config show run.yaml student.channels=32`
    """
    import json

    from limbeck.config import dump_config, json_schema

    if schema:
        print(json.dumps(json_schema(), indent=2))
    elif run_file is None:
        raise LimbeckError("Give a run file, or --schema.")
    else:
        print(dump_config(_load(run_file, overrides)), end="")


def _tiles(overlap: float | None) -> Tiles | None:
    from limbeck.deploy.runtime.class_map import Tiles

    if overlap is not None and overlap >= MAX_OVERLAP:
        raise LimbeckError(f"--tile-overlap must be below {MAX_OVERLAP}, was given {overlap}.")
    return None if overlap is None else Tiles(overlap)


def _load(run_file: Path, overrides: list[str] | None) -> RunConfig:
    from limbeck.config import load_config

    return load_config(run_file, overrides or ())


def _show(outcome: Any) -> None:
    from limbeck.cli.table import comparison_table
    from limbeck.run_folder import FIRST_PROCESS

    if not FIRST_PROCESS:
        return
    out.print(comparison_table(outcome))
    say(f"bundle: {outcome.bundle}")
    say(f"report: {outcome.report}")


if __name__ == "__main__":
    main()
