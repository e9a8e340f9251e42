"""Commands on data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from limbeck.cli.terminal import Overrides, out, say
from limbeck.errors import LimbeckError

app = typer.Typer(no_args_is_help=True, help="Look at data sets, convert them and make some.")
FormatName = Literal["coco", "voc", "yolo"]


def _instead(name: str, help: str) -> Any:
    """Return an option that stands instead of a run file."""
    return typer.Option(name, help=help, show_default=False, rich_help_panel="Instead of a run file")


@app.command()
def convert(
    to: Annotated[FormatName, typer.Option("--to", help="The format to write.", show_default=False)],
    out_dir: Annotated[Path, typer.Option("--out", help="The folder to write.", show_default=False)],
    run_file: Annotated[
        Path | None, typer.Argument(help="A run file, whose section `data` is converted.", show_default=False)
    ] = None,
    overrides: Overrides = None,
    files: Annotated[
        Literal["copy", "link", "none"], typer.Option(help="Copy the images, link them, or leave them where they are.")
    ] = "copy",
    drop_ignore: Annotated[
        bool, typer.Option("--drop-ignore", help="Leave out ignore regions, which yolo does not have.")
    ] = False,
    drop_duplicates: Annotated[
        bool, typer.Option("--drop-duplicates", help="Leave out boxes that stand twice, which yolo refuses.")
    ] = False,
    source: Annotated[FormatName | None, _instead("--from", "The format to read.")] = None,
    images: Annotated[Path | None, _instead("--images", "The folder of the images.")] = None,
    annotations: Annotated[
        Path | None, _instead("--annotations", "The json file, or the folder of xml or txt files.")
    ] = None,
    listed: Annotated[Path | None, _instead("--list", "A text file that names the images.")] = None,
    names: Annotated[Path | None, _instead("--names", "The data.yaml or classes.txt of yolo.")] = None,
    classes: Annotated[list[str] | None, _instead("--class", "A class; repeat it for each, in their order.")] = None,
    skip_broken: Annotated[
        bool, _instead("--skip-broken", "Leave out what is broken, as data.on_broken: skip does.")
    ] = False,
    part: Annotated[Literal["train", "val", "test"], _instead("--part", "What it is; train if not given.")] = "train",
) -> None:
    """Write a data set in another format, and print the settings that read it.

    Boxes, classes and ignore regions are carried over exactly; masks, key points and other fields are not. The source
    stays as it is.

    Example: `limbeck data convert run.yaml --to yolo --out wagons-yolo`

    Example: `limbeck data convert --from voc --images JPEGImages --annotations Annotations --to coco --out wagons`
    """
    from limbeck.config import load_config
    from limbeck.data.config import DataConfig, SplitConfig
    from limbeck.data.convert import convert as write
    from limbeck.data.convert import read_part, read_parts
    from limbeck.run_file import write_settings

    given: dict[str, object] = {"--from": source, "--images": images, "--annotations": annotations, "--list": listed}
    given |= {"--names": names, "--class": classes, "--skip-broken": skip_broken}
    if run_file is not None:
        if both := [option for option, value in given.items() if value]:
            raise LimbeckError(f"Give either a run file or {' '.join(both)}, not both.")
        data = load_config(run_file, overrides or ()).data
        if not isinstance(data, DataConfig):
            raise LimbeckError(f"{run_file} is not about images with boxes; only those are converted.")
        parts = read_parts(data)
    elif source is None or images is None:
        raise LimbeckError("Give a run file, or say with --from and --images what to convert.")
    else:
        split = SplitConfig(images=images, annotations=annotations, list=listed)
        parts = [read_part(part, split, source, classes or None, "skip" if skip_broken else "error", names=names)]
    done = write(parts, to, out_dir, files=files, drop_ignore=drop_ignore, drop_duplicates=drop_duplicates)
    for note in done.notes:
        say(note)
    count = sum(len(part.data.records) for part in parts)
    say(f"{out_dir} was read back: {count} images, all labels the same. Settings that read it:\n")
    say(write_settings({"data": done.settings}).rstrip())


@app.command()
def check(
    run_file: Annotated[
        Path, typer.Argument(help="The run file (YAML), whose section `data` is looked at.", show_default=False)
    ],
    overrides: Overrides = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="Write samples (sheet.png) and all numbers (check.json) here.")
    ] = None,
) -> None:
    """Decode every image or cloud, list all problems, and say what the data holds and what it holds twice.

    Ends with exit code 2 if there are problems.

    Example: `limbeck data check run.yaml --out checked`
    """
    from limbeck.cli.cloud_check import check_clouds
    from limbeck.cli.data_check import check_data
    from limbeck.cli.mask_check import check_masks
    from limbeck.config import load_config
    from limbeck.data.cloud_config import CloudDataConfig
    from limbeck.data.config import DataConfig
    from limbeck.data.mask_config import MaskDataConfig

    config = load_config(run_file, overrides or ())
    problems: tuple[str, ...] = ()
    if isinstance(config.data, MaskDataConfig):
        problems = check_masks(config.data, out, to=to, seed=config.seed).problems
    elif isinstance(config.data, CloudDataConfig):
        problems = check_clouds(config.data, out, to=to, seed=config.seed).problems
    elif isinstance(config.data, DataConfig):
        problems = check_data(config.data, out, to=to, seed=config.seed).problems
    if problems:
        raise typer.Exit(LimbeckError.exit_code)


@app.command()
def scenes(
    folder: Annotated[Path, typer.Argument(help="The folder to write, new or empty.", show_default=False)],
    train: Annotated[int, typer.Option(min=1, help="Scenes to train on.")] = 200,
    val: Annotated[int, typer.Option(min=1, help="Scenes to evaluate on.")] = 60,
    size: Annotated[tuple[int, int], typer.Option(help="Width and height in pixels, multiples of 32.")] = (416, 256),
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other scenes.")] = 0,
    night: Annotated[float, typer.Option(help="Share of the scenes at night, from 0 to 1.")] = 0.2,
    fog: Annotated[float, typer.Option(help="Share of the scenes in fog, from 0 to 1.")] = 0.2,
    ambiguity: Annotated[float, typer.Option(help="How little a colour tells of its class, from 0 to 1.")] = 0.5,
    holes: Annotated[float, typer.Option(help="Share of the depth that is not measured, from 0 to 1.")] = 0.0,
) -> None:
    """Make street scenes with depth and a class for every pixel, and print the settings that read them.

    Example: `limbeck data scenes streets --train 200 --val 60 --size 416 256 --seed 0`
    """
    from limbeck.data.street.config import StreetConfig
    from limbeck.data.street.writing import write_street_scenes
    from limbeck.run_file import write_settings

    config = StreetConfig(*size, night=night, fog=fog, ambiguity=ambiguity, holes=holes)
    settings = write_street_scenes(folder, {"train": train, "val": val}, seed, config)
    say(f"{train + val} scenes are in {folder}. Settings that read them:\n")
    say(write_settings({"data": settings}).rstrip())


@app.command()
def clouds(
    folder: Annotated[Path, typer.Argument(help="The folder to write, new or empty.", show_default=False)],
    train: Annotated[int, typer.Option(min=1, help="Clouds to train on.")] = 400,
    val: Annotated[int, typer.Option(min=1, help="Clouds to evaluate on.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Another seed gives other scenes.")] = 0,
    rings: Annotated[int, typer.Option(help="Rings of the LiDAR, from -25 to 3 degrees.")] = 32,
    azimuth_step: Annotated[float, typer.Option(help="Degrees from one ray of a ring to the next.")] = 0.5,
    max_range: Annotated[float, typer.Option("--range", help="Metres beyond which there is no point.")] = 60.0,
    field_of_view: Annotated[float, typer.Option(help="Degrees that the LiDAR sees around straight ahead.")] = 360.0,
    clutter: Annotated[float, typer.Option(help="How much stands about that is no object, from 0 to 1.")] = 0.5,
) -> None:
    """Make point clouds of streets with the boxes of all road users, and print the settings that read them.

    Example: `limbeck data clouds lidar --train 400 --val 100 --seed 0`
    """
    from limbeck.data.lidar.config import LidarSceneConfig
    from limbeck.data.lidar.writing import write_lidar_scenes
    from limbeck.run_file import write_settings

    config = LidarSceneConfig(
        rings=rings, azimuth_step=azimuth_step, max_range=max_range, field_of_view=field_of_view, clutter=clutter
    )
    settings = write_lidar_scenes(folder, {"train": train, "val": val}, seed, config)
    say(f"{train + val} clouds are in {folder}. Settings that read them:\n")
    say(write_settings({"data": settings}).rstrip())
