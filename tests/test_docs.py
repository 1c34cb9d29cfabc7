"""The documentation says what the code does."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_generated_pages_are_up_to_date():
    import sys

    sys.path.insert(0, str(ROOT / "tools"))
    import write_docs

    for path, text in write_docs.pages().items():
        assert path.read_text() == text, f"run tools/write_docs.py: {path.name} is old"


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readmes_python_runs(data, tmp_path, monkeypatch):
    """Ten lines, as they stand, on the real glacier they name."""
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    (tmp_path / "argentiere.nc").symlink_to(data / "glaciers" / "argentiere_RGI60-11.03638.nc")
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    exec(code, scope)
    assert (tmp_path / "argentiere_run.nc").exists()
    assert scope["speed"].max() > 10


def test_every_command_in_the_readme_exists():
    from typer.main import get_command

    from odinn.cli.main import app

    known = set(get_command(app).commands)
    named = set(re.findall(r"^odinn (\w+)", (ROOT / "README.md").read_text(), re.M))
    assert named <= known
    assert len(named) >= 5
