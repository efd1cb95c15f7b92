"""Links between documents lead somewhere, and the files that documents name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
NAMED = re.compile(r"`((?:src|geneformer_rules|tests|docs|envs|config)/[\w./-]*|[\w/]+/\w+\.(?:py|smk))`")
FOLDERS = (ROOT, ROOT / "src" / "geneformer_codec", ROOT / "geneformer_rules")
"""Where documents may begin the path of a module."""
DOCUMENTS = sorted(
    {*ROOT.glob("*.md"), *ROOT.glob("config/*.md"), *ROOT.glob("docs/**/*.md")},
    key=lambda path: path.relative_to(ROOT).as_posix(),
)


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", document.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_paths(document: Path) -> None:
    text = FENCE.sub("", document.read_text())
    for target in LINK.findall(text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target
    for name in NAMED.findall(text):
        pattern = re.sub(r"[A-Z]{2,}", "*", name)  # a word in capitals stands for any name
        assert any(next(folder.glob(pattern), None) for folder in FOLDERS), name
