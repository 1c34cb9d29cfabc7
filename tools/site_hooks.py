"""What the site adds to docs/ when it is built: the pages that live at the top of the repository,
and the example files.

The sources keep links that work where they are read as plain files; here they are turned to where
the site has things.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
EXAMPLES = "examples"
MEASURED = {
    "benchmarks.md": "Benchmarks",
    "gradient_methods.md": "Gradients, measured",
    "scaling.md": "All glaciers for a century",
}  # written by `make bench`


def on_config(config: Any, **_: Any) -> Any:
    """List the pages that the benchmarks write, once they are there."""
    section = next(part["How well it works"] for part in config.nav if "How well it works" in part)
    section += [
        {title: name} for name, title in MEASURED.items() if (Path(config.docs_dir) / name).exists()
    ]
    return config


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the repository's own pages and the examples."""
    for source, target in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, target, content=text))
    for path in sorted((ROOT / EXAMPLES).glob("*.yaml")):
        files.append(File.generated(config, f"{EXAMPLES}/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to the top of the repository."""
    up = "../" * page.file.src_uri.count("/")
    for source, target in PAGES.items():
        markdown = markdown.replace(f"]({up}../{source})", f"]({up}{target})")
    return markdown.replace(f"]({up}../{EXAMPLES}/", f"]({up}{EXAMPLES}/")
