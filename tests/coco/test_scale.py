"""Workers, shards, kills and clusters: always the same bytes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from make_dataset import Dataset, make_dataset, options

from hpa_mmdet.cli.convert_coco import main as convert_main
from hpa_mmdet.cli.merge_coco import main as merge_main
from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.merge import merge
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.errors import InputError
from hpa_mmdet.jobs.shards import Shard

IDS = tuple(f"image{number:02}" for number in range(40))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    made = make_dataset(tmp_path_factory.mktemp("scale") / "data", IDS)
    (made.masks / "image07_mask.png").write_bytes(b"")  # one that fails
    return made


@pytest.fixture(scope="module")
def whole(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "train.json"
    convert(dataset.sources(nuclei=dataset.nuclei), out, options(drop_border=True))
    return out


def test_workers_give_the_same_bytes(dataset: Dataset, whole: Path, tmp_path: Path) -> None:
    out = whole.with_name("two workers.json")
    sources = dataset.sources(nuclei=dataset.nuclei)
    report = convert(sources, out, options(drop_border=True), workers=2)
    assert out.read_bytes() == whole.read_bytes()
    assert report.done == 39


@pytest.mark.parametrize("count", [1, 3, 50])
def test_merged_shards_give_the_same_bytes(
    dataset: Dataset, whole: Path, tmp_path: Path, count: int
) -> None:
    out = tmp_path / "train.json"
    (tmp_path / "data").symlink_to(dataset.images.parent)  # the same relative place as for `whole`
    for index in range(count, 0, -1):
        convert(
            dataset.sources(nuclei=dataset.nuclei),
            out,
            options(drop_border=True),
            shard=Shard(index, count),
        )
    shards = list(tmp_path.glob("train.shard-*"))  # reports among them
    report = merge(shards, out)
    assert strip_info(out) == strip_info(whole)
    assert (report.done, [failure.item_id for failure in report.failures]) == (39, ["image07"])
    dropped = "train_dropped.csv"
    assert (tmp_path / dropped).read_bytes() == whole.with_name(dropped).read_bytes()
    nuclei = tmp_path / "train_nuclei.json"
    merge(list(tmp_path.glob("train_nuclei.shard-*")), nuclei)
    assert strip_info(nuclei) == strip_info(whole.with_name("train_nuclei.json"))


def strip_info(path: Path) -> bytes:
    """The file without its first line, which holds the way to the images from here."""
    return path.read_bytes().split(b"\n", 1)[1]


def test_shards_of_one_folder_are_the_whole_file(dataset: Dataset, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.json", tmp_path / "train.json"
    convert(dataset.sources(), whole)
    for index in (1, 2):
        convert(dataset.sources(), out, shard=Shard(index, 2))
    merge(list(tmp_path.glob("train.shard-*.json")), out)
    assert out.read_bytes() == whole.read_bytes()


def grow(dataset: Dataset) -> None:
    for path in [*dataset.images.glob("image00_*"), *dataset.masks.glob("image00_*")]:
        shutil.copy(path, path.with_name(path.name.replace("image00", "new")))
    with dataset.labels.open("a") as handle:
        handle.write("new,3\n")


def swap_ids(dataset: Dataset) -> None:
    for path in [*dataset.images.glob("image00_*"), *dataset.masks.glob("image00_*")]:
        path.rename(path.with_name(path.name.replace("image00", "new")))
    dataset.labels.write_text(dataset.labels.read_text().replace("image00", "new"))


@pytest.mark.parametrize(
    ("change", "chosen", "message"),
    [
        (lambda d: None, {"drop_border": True}, "drop_border is True, there the default"),
        (grow, {}, "it is of 6 images, the other of 5"),
        (swap_ids, {}, "the images have other ids"),
        (
            lambda d: d.labels.write_text(d.labels.read_text().replace("e03,", "e03,7|")),
            {},
            "the labels differ",
        ),
        (
            lambda d: (d.images / "image01_red.png").write_bytes(b"cut"),
            {},
            "the files have other names or sizes",
        ),
    ],
)
def test_shards_of_different_conversions_are_not_merged(
    tmp_path: Path, change: Callable[[Dataset], object], chosen: dict, message: str
) -> None:
    dataset = make_dataset(tmp_path / "data", tuple(f"image{at:02}" for at in range(5)))
    out = tmp_path / "t.json"
    convert(dataset.sources(), out, shard=Shard(1, 2))
    change(dataset)
    convert(dataset.sources(), out, options(**chosen), shard=Shard(2, 2))
    shards = list(tmp_path.glob("t.shard-*.json"))
    with pytest.raises(
        InputError, match=r"t.shard-2-of-2.json: is a shard of another conv.*" + message
    ):
        merge(shards, out)
    assert not out.exists()


def test_a_missing_shard_is_named(dataset: Dataset, tmp_path: Path) -> None:
    for index in (1, 3):
        convert(dataset.sources(), tmp_path / "t.json", shard=Shard(index, 4))
    shards = list(tmp_path.glob("t.shard-*.json"))
    with pytest.raises(
        InputError, match=r"found 1/4, 3/4, expected each of.*missing ones \(2, 4\)"
    ):
        merge(shards, tmp_path / "t.json")
    with pytest.raises(InputError, match=r"files: found none"):
        merge([], tmp_path / "t.json")
    with pytest.raises(InputError, match=r"t.shard-3-of-4.json: is an input of this run"):
        merge(shards, shards[0])


def test_datasets_of_different_folders_are_joined(tmp_path: Path) -> None:
    one = make_dataset(tmp_path / "one", ("a", "b"))
    two = make_dataset(tmp_path / "two", ("c",))
    convert(one.sources(), tmp_path / "1.json")
    convert(two.sources(), tmp_path / "2.json")
    report = merge([tmp_path / "1.json", tmp_path / "2.json"], tmp_path / "both.json")
    assert any("image ids were counted anew" in note for note in report.notes)
    data = read_coco(tmp_path / "both.json")
    assert [(image.image_id, image.hpa_id) for image in data.images] == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ]
    assert data.images_root is not None
    for image in data.images:
        assert (data.images_root / image.file_name).is_file()
        assert (data.images_root / image.channel_files["red"]).is_file()
    assert [cell.annotation_id for image in data.images for cell in image.cells] == list(
        range(1, 10)
    )


def test_what_cannot_be_joined_is_said(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", ("a",))
    convert(data.sources(nuclei=data.nuclei), tmp_path / "t.json")
    convert(data.sources(images=None), tmp_path / "masks only.json")
    cells, nuclei = tmp_path / "t.json", tmp_path / "t_nuclei.json"
    with pytest.raises(InputError, match=r"found image a again, as in .*t.json"):
        merge([cells, cells], tmp_path / "o.json")
    with pytest.raises(InputError, match="found outlines of nuclei, expected of cells"):
        merge([cells, nuclei], tmp_path / "o.json")
    other = make_dataset(tmp_path / "other", ("b",))
    convert(other.sources(), tmp_path / "b.json")
    with pytest.raises(InputError, match="found some with and some without images"):
        merge([tmp_path / "b.json", tmp_path / "masks only.json"], tmp_path / "o.json")
    renamed = (tmp_path / "b.json").read_text().replace("Nucleoplasm", "Nucleus", 1)
    (tmp_path / "renamed.json").write_text(renamed)
    with pytest.raises(InputError, match=r"renamed.json: found other categories"):
        merge([cells, tmp_path / "renamed.json"], tmp_path / "o.json")
    content = json.loads((tmp_path / "b.json").read_text())
    content["annotations"] = [
        {key: cell[key] for key in reversed(cell)} for cell in content["annotations"]
    ]
    (tmp_path / "reversed.json").write_text(json.dumps(content))
    merge([tmp_path / "reversed.json"], tmp_path / "again.json")
    assert read_coco(tmp_path / "again.json").images == read_coco(tmp_path / "b.json").images
    del content["annotations"][0]["image_id"]
    (tmp_path / "without.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"without.json, annotation 1: it has no image_id"):
        merge([tmp_path / "without.json"], tmp_path / "o.json")
    orphan = (tmp_path / "b.json").read_text().replace('"image_id":1', '"image_id":9')
    (tmp_path / "orphan.json").write_text(orphan)
    with pytest.raises(
        InputError,
        match=r"orphan.json, annotation 1: found image_id 9, expected the id of an image",
    ):
        merge([tmp_path / "orphan.json"], tmp_path / "o.json")


SLOW = """
import sys, time
from pathlib import Path
import hpa_mmdet.coco.convert_image as module
from hpa_mmdet.cli.convert_coco import main
quick = module.read_label_image
def slow(path, **options):
    time.sleep(0.03)
    return quick(path, **options)
module.read_label_image = slow
main(sys.argv[1:])
"""


def test_a_killed_conversion_goes_on_to_the_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.json", tmp_path / "train.json"
    convert(dataset.sources(), whole)
    words = [str(dataset.images), "--masks", str(dataset.masks), "--labels", str(dataset.labels)]
    words += ["--out", str(out)]
    process = subprocess.Popen([sys.executable, "-c", SLOW, *words])
    parts = tmp_path / "train.json.parts"
    while process.poll() is None and not list(parts.glob("part-*.txt")):
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    earlier = {path.name: path.stat().st_mtime_ns for path in parts.glob("part-*.txt")}
    assert 0 < len(earlier) < 3

    assert convert_main(words) == 1
    assert out.read_bytes() == whole.read_bytes()
    assert not parts.exists()


def test_the_tools_say_their_exit_status(dataset: Dataset, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    words = ["--masks", str(dataset.masks), "--labels", str(dataset.labels)]
    out = str(tmp_path / "t.json")
    assert convert_main([*words, "--out", out, "--shard", "1/2"]) == 1
    assert convert_main([*words, "--out", out, "--shard", "2/2"]) == 0
    shards = [str(path) for path in tmp_path.glob("t.shard-*.json")]
    assert merge_main([*shards, "--out", out]) == 1
    assert "failed image07" in capsys.readouterr().out
    assert convert_main([*words, "--out", out]) == 2
    assert merge_main([*shards, "--out", out]) == 2
    assert convert_main([*words, "--out", out, "--shard", "3/2"]) == 2
    assert "--shard: found 3/2" in capsys.readouterr().err


CLUSTER = """
import os, sys
from ray.cluster_utils import Cluster
from hpa_mmdet.cli.convert_coco import main
try:
    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1)
except Exception as error:
    sys.exit(f"cluster: {error}" if "timed out during startup" not in str(error) else 75)
os.environ["RAY_ADDRESS"] = cluster.address
status = main(sys.argv[1:])
cluster.shutdown()
sys.exit(10 + status)  # python itself ends with 1 after an error
"""


def test_a_ray_cluster_of_two_nodes_gives_the_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not here: pip install 'hpa-mmdet[cluster]'")
    whole, out = tmp_path / "whole.json", tmp_path / "train.json"
    convert(dataset.sources(), whole)
    words = [str(dataset.images), "--masks", str(dataset.masks), "--labels", str(dataset.labels)]
    words += ["--out", str(out), "--engine", "ray"]
    with tempfile.TemporaryDirectory(prefix="ray") as short:  # its sockets want short paths
        environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": short}
        done = subprocess.run(
            [sys.executable, "-c", CLUSTER, *words], env=environment, capture_output=True, text=True
        )
    if done.returncode == 75:
        pytest.skip("Ray gives a node 30 seconds to start, and this machine was too busy")
    assert done.returncode == 11, done.stderr[-2000:]
    assert out.read_bytes() == whole.read_bytes()


def test_converting_loads_neither_torch_nor_the_mm_packages() -> None:
    code = (
        "import sys, hpa_mmdet.cli.convert_coco, hpa_mmdet.coco.merge, hpa_mmdet.coco.index; "
        "print([name for name in ('torch', 'mmdet', 'mmengine', 'mmcv', 'timm', 'ray') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
