import shutil
from pathlib import Path

import pytest

from foundation import InputError
from tests.proxy_tasks.coco.layouts.small_sets import HEIGHT, NAMES, WIDTH, draw, prepare, task_on, write_text

OBJECT = (
    "<object><name>{name}</name><pose>Left</pose><truncated>0</truncated><difficult>{difficult}</difficult>"
    "<bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox>{part}</object>"
)
PART = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"


def voc_object(name: str, *corners: float, difficult: int = 0, part: str = "") -> str:
    return OBJECT.format(*corners, name=name, difficult=difficult, part=part)


def xml(*objects: str, filename: str = "a.jpg", width: int = WIDTH, height: int = HEIGHT) -> str:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation><folder>VOC</folder><filename>{filename}</filename>{size}{''.join(objects)}</annotation>"


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    """The layout of the development kit: three pictures to train on, one to validate on."""
    root = tmp_path / "set"
    draw(root / "JPEGImages")
    both = (voc_object("dog", 11, 6, 30, 15, part=PART), voc_object("cat", 1, 1, WIDTH, HEIGHT, difficult=1))
    write_text(root, {f"Annotations/{name[0]}.xml": xml(*both, filename=name) for name in NAMES})
    lists = {"train": "a\nb\nc\n", "val": "d\n", "trainval": "a\nb\nc\nd\n", "cat_train": "a  1\nb -1\nc  0\n"}
    write_text(root, {f"ImageSets/Main/{name}.txt": content for name, content in lists.items()})
    return root


def test_corners_count_from_1_and_the_last_pixel_belongs_to_the_box(voc: Path) -> None:
    prepared = prepare(voc, "val")
    assert prepared.classes == ("cat", "dog")
    assert prepared.data.train.annotations.num_images == 3
    assert all(prepared.boxes(name) == [[10, 5, 20, 10], [0, 0, WIDTH, HEIGHT]] for name in NAMES[:3])
    assert prepared.boxes("d.jpg", split="val") == [[10, 5, 20, 10], [0, 0, WIDTH, HEIGHT]]
    assert any(what.startswith("Pascal VOC's layout: ") for what in prepared.reports)


def test_difficult_objects_are_crowds(voc: Path) -> None:
    annotations = prepare(voc).data.train.annotations
    assert annotations.is_crowd.tolist() == [False, True] * 3
    assert annotations.labels.tolist() == [1, 0] * 3


def test_corners_that_count_from_0_do_not_leave_the_picture(voc: Path) -> None:
    write_text(voc, {"Annotations/a.xml": xml(voc_object("dog", 0, 0, 20, 10), voc_object("cat", 1, 1, 9, 9))})
    prepared = prepare(voc)
    assert prepared.boxes("a.jpg") == [[0, 0, 20, 10], [0, 0, 9, 9]]
    assert not any("clipped" in line for line in prepared.lines)


def test_without_lists_all_files_are_trained_on_and_default_is_cvats_list(voc: Path) -> None:
    main = voc / "ImageSets" / "Main"
    for name in ("train", "val", "trainval", "cat_train"):
        (main / f"{name}.txt").unlink()
    assert prepare(voc).data.train.annotations.num_images == 4
    write_text(voc, {"ImageSets/Main/default.txt": "a\nb\n"})
    assert prepare(voc).data.train.annotations.num_images == 2


def test_trainval_is_trained_on_where_there_is_no_train(voc: Path) -> None:
    (voc / "ImageSets" / "Main" / "train.txt").unlink()
    prepared = prepare(voc)
    assert prepared.data.train.annotations.num_images == 4
    assert prepared.lines[-1].startswith("val: not there, so not prepared")
    with pytest.raises(InputError, match=r"no data: .*ImageSets/Main/test\.txt does not exist"):
        prepare(voc, "val")


def test_a_list_with_a_byte_order_mark_is_read(voc: Path) -> None:
    write_text(voc, {"ImageSets/Main/train.txt": "\ufeffa\r\nb\r\n"})
    assert prepare(voc).data.train.annotations.num_images == 2


def test_a_name_that_ends_like_a_second_column_is_a_name(voc: Path) -> None:
    for kind, ending in (("Annotations", "xml"), ("JPEGImages", "jpg")):
        (voc / kind / f"a.{ending}").rename(voc / kind / f"scene 1.{ending}")
    write_text(voc, {"ImageSets/Main/train.txt": "scene 1\nb\n"})
    assert [Path(name).stem for name in prepare(voc).data.train.annotations.file_names] == ["b", "scene 1"]


@pytest.mark.parametrize("name", ["{elsewhere}/a", "../../elsewhere/a"])
def test_a_list_does_not_lead_out_of_the_folder(voc: Path, name: str) -> None:
    elsewhere = voc.parent / "elsewhere"
    write_text(elsewhere, {"a.xml": xml(voc_object("dog", 1, 1, 5, 5))})
    write_text(voc, {"ImageSets/Main/train.txt": f"{name.format(elsewhere=elsewhere)}\nb\n"})
    with pytest.raises(InputError, match=r"train\.txt, line 1: there is no .*a\.xml in .*set/Annotations$"):
        prepare(voc)


def test_hidden_files_are_no_annotations(voc: Path) -> None:
    shutil.rmtree(voc / "ImageSets")
    # As macOS leaves them in archives, and Jupyter in folders.
    write_text(voc, {"Annotations/._a.xml": "\0", "Annotations/.ipynb_checkpoints/b.xml": ""})
    assert prepare(voc).data.train.annotations.num_images == 4


def test_a_list_with_a_second_column_is_read(voc: Path) -> None:
    write_text(voc, {"ImageSets/Main/train.txt": "a  1\nb -1\nc  0\n\n"})
    assert prepare(voc).data.train.annotations.num_images == 3


def test_pictures_are_found_whatever_name_the_xml_gives_them(voc: Path) -> None:
    box = voc_object("dog", 11, 6, 30, 15)
    write_text(voc, {"Annotations/d.xml": xml(box, filename="d.jpg")})
    (voc / "JPEGImages" / "b.jpg").rename(voc / "JPEGImages" / "b.png")
    (voc / "JPEGImages" / "c.jpg").rename(voc / "JPEGImages" / "c.JPG")
    names = {"a": r"C:\photos\a.jpg", "b": "b.jpg", "c": ""}
    write_text(voc, {f"Annotations/{stem}.xml": xml(box, filename=name) for stem, name in names.items()})
    assert prepare(voc).data.train.annotations.file_names == ("a.jpg", "b.png", "c.JPG")


def test_a_size_that_is_left_out_is_read_from_the_picture(voc: Path) -> None:
    write_text(voc, {"Annotations/a.xml": xml(voc_object("dog", 11, 6, 30, 15), width=0, height=0)})
    assert prepare(voc).data.train.annotations.sizes_px[0].tolist() == [HEIGHT, WIDTH]


def test_missing_pictures_count_as_bad_ones(voc: Path) -> None:
    (voc / "JPEGImages" / "a.jpg").unlink()
    (voc / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(InputError, match=r"there is no file .*JPEGImages/a\.jpg; 2 of 3 images are bad"):
        prepare(voc)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation><object>", r"a\.xml: no XML that can be parsed: "),
        ("", r"a\.xml: no XML that can be parsed: "),
        ("<?xml version='1.0' encoding='gb2312'?><annotation/>", r"a\.xml: no XML that can be parsed: multi-byte"),
        ("<?xml version='1.0' encoding='none'?><annotation/>", r"a\.xml: no XML that can be parsed: unknown encoding"),
        ("<annotations></annotations>", r"a\.xml: its first element is <annotations>, that of Pascal VOC is"),
        (xml("<object><name>dog</name></object>"), r"a\.xml: an object 'dog' has no box: needed are bndbox and in it"),
        (xml(voc_object("", 1, 1, 2, 2)), r"a\.xml: an object has no name"),
        (
            xml(voc_object("dog", 1, 1, 2, 2).replace("<xmin>1", "<xmin>left")),
            r"a\.xml: xmin of the box of 'dog' is 'left', needed is a number",
        ),
        (xml().replace(f"<width>{WIDTH}", "<width>wide"), r"a\.xml: width of size is 'wide', needed is a number"),
    ],
)
def test_mistakes_in_an_xml_file_are_one_line(voc: Path, content: str, message: str) -> None:
    write_text(voc, {"Annotations/a.xml": content})
    with pytest.raises(InputError, match=message) as raised:
        prepare(voc)
    assert "\n" not in str(raised.value)
    assert not (voc.parent / "converted").exists()


def test_entities_that_grow_without_end_are_refused(voc: Path) -> None:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "x" * 100}">' for i in range(9))
    content = f"<!DOCTYPE annotation [{entities}]>" + xml().replace("<folder>VOC", "<folder>&e8;")
    write_text(voc, {"Annotations/a.xml": content})
    with pytest.raises(InputError, match=r"a\.xml: no XML that can be parsed: "):
        prepare(voc)


def test_a_list_that_names_what_is_not_there_is_one_line(voc: Path) -> None:
    write_text(voc, {"ImageSets/Main/train.txt": "a\nz\n"})
    with pytest.raises(InputError, match=r"train\.txt, line 2: there is no z\.xml in .*set/Annotations$"):
        prepare(voc)
    write_text(voc, {"ImageSets/Main/train.txt": "\n"})
    with pytest.raises(InputError, match=r"train\.txt lists no pictures"):
        prepare(voc)


def test_a_class_of_the_validation_set_alone_is_one_line(voc: Path) -> None:
    write_text(voc, {"Annotations/d.xml": xml(voc_object("cow", 1, 1, 9, 9), filename="d.jpg")})
    with pytest.raises(
        InputError, match=r"d\.xml: class 'cow' of the validation set is none of the training set's: cat, dog"
    ):
        prepare(voc)


def test_splits_that_share_a_picture_are_said(voc: Path) -> None:
    write_text(voc, {"ImageSets/Main/val.txt": "a\nd\n"})
    for score_on in ("held_out", "val"):
        lines = prepare(voc, score_on).lines
        assert any(line.startswith("pictures that are in both sets: 1, as a.jpg (a.jpg in the") for line in lines)


def test_pictures_in_another_folder_and_no_objects_are_one_line(voc: Path) -> None:
    write_text(voc, {f"Annotations/{name}.xml": xml() for name in "abc"})
    with pytest.raises(InputError, match=r"Annotations: none of the 3 files to train on has an object"):
        prepare(voc)
    (voc / "JPEGImages").rename(voc / "photos")
    with pytest.raises(InputError, match=r"has Annotations/, and no pictures in JPEGImages/: put them there"):
        prepare(voc)


def test_the_folder_of_files_names_the_layout(voc: Path) -> None:
    write_text(voc, {"result.json": "{}"})
    with pytest.raises(InputError, match=r"say which, as .*, or data\.train_annotations=Annotations$"):
        prepare(voc)
    assert prepare(voc, train_annotations="Annotations").classes == ("cat", "dog")
    folder = task_on(voc, train_annotations="Annotations").data.folder(lambda *a: None)
    assert folder.paths("train")[1] == voc / "JPEGImages"
