"""Names of image files as data sets write them, and as paths below the image folder."""

from pathlib import Path, PurePosixPath, PureWindowsPath

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""Endings of image files, in either case, as torchvision's ImageFolder has them; other files are no images."""


def name_below(image_dir: Path, file_name: str) -> str | None:
    """Return a file's name relative to the image folder; None where it leads out of it.

    Backslashes part folders, as on Windows, unless a file has them in its name. An absolute path is taken where it
    lies below the folder.
    """
    # A data set may come from anywhere: its names must not reach files outside.
    name = PurePosixPath(file_name)
    if "\\" in file_name and not (image_dir / name).is_file():
        if PureWindowsPath(file_name).drive:
            return None
        name = PurePosixPath(file_name.replace("\\", "/"))
    if ".." in name.parts:
        return None

    if not name.is_absolute():
        return str(name)
    # The folder may be reached through a link, and files are named as the one or the other.
    for folder in (image_dir.absolute(), image_dir.resolve()):
        if name.is_relative_to(folder):
            return str(name.relative_to(folder))
    return None
