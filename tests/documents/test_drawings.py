"""The drawings in text: what looks like a name of ours in them is one."""

import re
import tomllib

from tests.documents.pages import ROOT, Block, Claim

LAYOUT = Claim(page="ARCHITECTURE.md", languages=("text",), heading="Architecture")
INSIDE = Claim(page="ARCHITECTURE.md", languages=("text",), heading="The inside")
PURCHASE = Claim(page="ARCHITECTURE.md", languages=("text",), heading="A purchase, from click to credits")
EXAMPLE = Claim(page="examples/credit-service/README.md", languages=("text",))
CLAIMS = (LAYOUT, INSIDE, PURCHASE, EXAMPLE)


def the_block(claim: Claim) -> Block:
    """The one block of the claim."""
    (block,) = claim.blocks()
    return block


def test_the_layout_is_the_one_of_the_folders() -> None:
    """Every path that begins a line exists, and no package, app or folder of tests is missing."""
    text = the_block(LAYOUT).text
    begun = [word for line in text.splitlines() for word in re.findall(r"\S+", line.partition("   ")[0])]

    assert [path for path in begun if not (ROOT / path).exists()] == []
    assert {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/*/pyproject.toml")} - set(begun) == {
        "examples/credit-service"
    }
    named = set(re.findall(r"\w+", text.partition("tests/")[2]))
    folders = {path.name for path in ROOT.joinpath("tests").iterdir() if path.is_dir() and path.name[0] not in "._"}
    assert folders - named == set()


def test_the_layers_are_those_that_are_held() -> None:
    """In the order of the import contract, seen from the inside."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (layers,) = [each["layers"] for each in contracts if each.get("containers") == ["billing_core"]]

    drawn = the_block(INSIDE).text.removeprefix("billing_core").split("←")

    assert [sorted(re.findall(r"\w+", each)) for each in drawn] == [
        sorted(re.findall(r"\w+", each)) for each in reversed(layers)
    ]


def test_what_a_purchase_goes_through_is_there() -> None:
    """Use cases, messages and the route."""
    text = the_block(PURCHASE).text
    sources = "".join(path.read_text("utf-8") for path in ROOT.glob("packages/billing-core/src/**/*.py"))
    openapi = (ROOT / "schemas" / "openapi.json").read_text("utf-8")

    acts = re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", text)
    assert {"CreatePurchase", "SettlePurchases"} <= set(acts)
    assert [name for name in acts if f"class {name}" not in sources and name != "JetStream"] == []
    for message in re.findall(r"evt[.…][\w.]+\w", text):
        assert message.replace("evt…", "") in sources, message
    for method, path in re.findall(r"\b(POST|GET) (/\S+)", text):
        assert f'"{path}"' in openapi, method


def test_the_files_of_the_example_are_there() -> None:
    """As its README lists them; and its commands."""
    lines = the_block(EXAMPLE).text.splitlines()
    project = ROOT / "examples" / "credit-service"

    assert [line for line in lines if not (project / line.split()[0]).is_file()] == []
    (commands,) = [line.split("main.py")[1].split(" · ") for line in lines if "main.py" in line]
    main = (project / "src/credit_service/main.py").read_text("utf-8")
    assert [each for each in commands if f'"{each.strip()}":' not in main] == []
