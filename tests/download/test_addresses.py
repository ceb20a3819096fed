"""Tables of ids and addresses become one address for each channel."""

from pathlib import Path

import pytest

from hpa_mmdet.download.addresses import find_in_gene_page, read_wanted
from hpa_mmdet.errors import InputError

ATLAS = "https://images.proteinatlas.org"


def _read(tmp_path: Path, text: str, *channels: str, **options: str) -> list[tuple[str, str]]:
    table = tmp_path / "t.csv"
    table.write_text(text)
    read = read_wanted(table, channels or ("green",), **options)
    assert read.problems == {}
    return [(file.image_id, file.url) for file in read.wanted]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param(
            "ID,antibody\n205_F11_1,CAB002506\n",
            ("205_F11_1", f"{ATLAS}/2506/205_F11_1_green.jpg"),
            id="id and antibody",
        ),
        pytest.param(
            "filename,if_plate_id,position,sample,antibody\n/archive/7/7_C5_1_,7,C5,1,HPA005910\n",
            ("7_C5_1", f"{ATLAS}/5910/7_C5_1_green.jpg"),
            id="id in parts",
        ),
        pytest.param(
            f"Image,Label\n{ATLAS}/10005/921_B9_1_,Golgi\n",
            ("921_B9_1", f"{ATLAS}/10005/921_B9_1_green.jpg"),
            id="an id that is the beginning of an address",
        ),
        pytest.param(
            f"url\n{ATLAS}/4109/1843_B2_17_cr5af971a263864_blue_red_green.jpg\n",
            ("1843_B2_17", f"{ATLAS}/4109/1843_B2_17_cr5af971a263864_green.jpg"),
            id="address of the mixed picture, with a crop's mark",
        ),
        pytest.param(
            "ID,url\nmine,http://a.org/x/{channel}.tif?size=2\n",
            ("mine", "http://a.org/x/green.tif?size=2"),
            id="address with a field",
        ),
        pytest.param(
            "ID,antibody\na b,HPA000001\n",
            ("a b", f"{ATLAS}/1/a%20b_green.jpg"),
            id="an id with a space",
        ),
    ],
)
def test_a_row_gives_its_address(tmp_path: Path, text: str, want: tuple[str, str]) -> None:
    assert _read(tmp_path, text) == [want]


def test_every_channel_and_own_template(tmp_path: Path) -> None:
    text = "ID,plate\n7_C5_1,p 9\n"
    found = _read(tmp_path, text, "red", "blue", template="http://a.org/{plate}/{id}.{channel}.png")
    assert [url for _, url in found] == [
        "http://a.org/p%209/7_C5_1.red.png",
        "http://a.org/p%209/7_C5_1.blue.png",
    ]


def test_served_names_and_genes(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text('ID,antibody,ensembl_ids\n7_C5_1,HPA1,"ENSG01,ENSG02"\n')
    (wanted,) = read_wanted(table, ("red",)).wanted
    assert wanted.served_name == "7_C5_1_red.jpg"
    assert wanted.gene == "ENSG01"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param('"b,HPA1,', "a quote is not closed", id="an open quote"),
        pytest.param("../x,HPA1,", "found image id '../x'", id="out of the folder"),
        pytest.param("good,HPA1,", "found good again, expected one row per image", id="twice"),
        pytest.param("b,,", r"found no antibody, expected a column for {antibody_num", id="field"),
        pytest.param("b,,ftp://a.org/b_red.jpg", "found address ftp://a.org/b_green.jpg", id="ftp"),
        pytest.param("b,,http://a.org/b.jpg", "expected one that ends with a channel", id="ending"),
        pytest.param("b,,http://a.org/b_red.exe", "expected a file ending with .jpg", id="kind"),
        pytest.param("b,,http://a.org/b_red.tif.gz", "one that ends with a channel", id="packed"),
    ],
)
def test_a_bad_row_is_named_and_the_others_stand(tmp_path: Path, row: str, message: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text(f"ID,antibody,url\ngood,HPA1,\n{row}\n")
    read = read_wanted(table, ("green",))
    assert [file.image_id for file in read.wanted] == ["good"]
    (problem,) = read.problems.values()
    with pytest.raises(InputError, match=message):
        raise problem
    assert f"{table}, row 3" in str(problem)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "name\na\n", "found columns name, expected ID, url or if_plate_id", id="columns"
        ),
        pytest.param("ID,antibody\n", "found no rows", id="empty"),
    ],
)
def test_a_table_without_use(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text(text)
    with pytest.raises(InputError, match=message):
        read_wanted(table, ("green",))


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a CSV table; check the path"):
        read_wanted(tmp_path / "none.csv", ("green",))


def test_a_gene_page_is_searched_for_the_image_and_no_other() -> None:
    page = """<imageUrl>http://a.org/4109/1843_B2_171_blue_red_green.jpg</imageUrl>
    <imageUrl>http://a.org/4109/1843_B2_17_selected.jpg</imageUrl>
    <imageUrl> http://a.org/4109/1843_B2_17_cr5af971a_blue_red_green.jpg </imageUrl>"""
    want = "http://a.org/4109/1843_B2_17_cr5af971a_yellow.jpg"
    assert find_in_gene_page(page, "1843_B2_17", "yellow") == want
    assert find_in_gene_page(page, "1843_B2_1", "yellow") is None


def test_the_manual_set_has_an_address_for_every_image(real_data: Path) -> None:
    read = read_wanted(real_data / "hpa_manual" / "images.csv", ("red", "yellow"))
    assert (len(read.wanted), len(read.problems)) == (296, 0)
    assert all(file.gene.startswith("ENSG") for file in read.wanted)
