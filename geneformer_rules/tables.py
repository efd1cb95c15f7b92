"""Read a table and check it against its schema; problems are reported by row and column."""

import csv
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from geneformer_codec.errors import did_you_mean

_SCHEMAS = Path(__file__).resolve().parent / "schemas"


@functools.cache
def load_schema(name: str) -> dict[str, Any]:
    """Return the packaged schema ``name`` (config, samples or species)."""
    schema: dict[str, Any] = yaml.safe_load((_SCHEMAS / f"{name}.schema.yaml").read_text(encoding="utf-8"))
    return schema


def rows(sheet: str, kind: str, problems: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a sheet that fit its schema, each with its number; cells that are empty are left out."""
    schema = load_schema(kind)
    columns = list(schema["properties"])
    try:
        text = Path(sheet).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problems.append(f"{sheet}: file not found; write the sheet, or correct the key '{kind}' of the configuration")
        return
    except OSError as error:
        problems.append(f"{sheet}: cannot read it: {error.strerror}; check its permissions")
        return
    except UnicodeDecodeError:
        problems.append(f"{sheet}: this is not a text file in UTF-8; export the sheet as text separated by tabs")
        return
    reader = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    header: list[str] | None = None
    for row, raw in enumerate(reader, 1):
        cells = [cell.strip() for cell in raw]
        if not any(cells) or cells[0].startswith("#"):
            continue
        if header is None:
            header = cells
            if not _check_header(sheet, row, header, columns, schema["required"], problems):
                return
            continue
        if len(cells) > len(header):
            problems.append(
                f"{sheet}, row {row}: there are {len(cells)} cells under {len(header)} columns; remove the surplus tabs"
            )
            continue
        named = {
            column: _convert(cell, schema["properties"][column])
            for column, cell in zip(header, cells, strict=False)
            if cell
        }
        found = list(violations(named, schema, cell=True))
        if found:
            problems += [
                f"{sheet}, row {row}, column '{place}': {text}" if place else f"{sheet}, row {row}, {text}"
                for place, text in found
            ]
            continue
        yield row, named
    if header is None:
        problems.append(f"{sheet}: the sheet is empty; its first row names the columns: {', '.join(columns)}")


def _check_header(
    sheet: str, row: int, header: Sequence[str], columns: Sequence[str], required: Sequence[str], problems: list[str]
) -> bool:
    before = len(problems)
    place = f"{sheet}, row {row}"
    if len(header) == 1 and len(required) > 1:
        problems.append(f"{place}: the columns are not separated by tabs; export the sheet as text separated by tabs")
        return False
    for number, column in enumerate(header):
        if column not in columns:
            problems.append(
                f"{place}: unknown column '{column}'; the columns are {', '.join(columns)}"
                + did_you_mean(column, columns)
            )
        elif header.index(column) != number:
            problems.append(f"{place}: the column '{column}' is there twice; keep one of them")
    problems += [f"{place}: the column '{column}' is missing; add it" for column in required if column not in header]
    return len(problems) == before


def _convert(cell: str, schema: Mapping[str, Any]) -> Any:
    """A cell as its column's type; a cell that is not of the type stays text, and the schema objects to it."""
    if schema.get("type") == "number":
        try:
            return float(cell)
        except ValueError:
            return cell
    return cell


# --- violations of a schema ------------------------------------------------------------------------------------------


def violations(instance: object, schema: Mapping[str, Any], *, cell: bool = False) -> Iterator[tuple[str, str]]:
    """Yield place and description of everything in ``instance`` that ``schema`` does not allow."""
    validator = jsonschema.Draft202012Validator(schema)
    for error in sorted(validator.iter_errors(instance), key=lambda found: [str(step) for step in found.absolute_path]):
        place = ".".join(str(step) for step in error.absolute_path)
        yield from _describe(error, place, cell=cell)


def _describe(error: jsonschema.ValidationError, place: str, *, cell: bool) -> Iterator[tuple[str, str]]:
    value: Any = error.instance
    rule: Any = error.validator_value
    schema: Any = error.schema
    within = f"{place}." if place else ""
    match error.validator:
        case "additionalProperties":
            known = list(schema["properties"])
            for key in value:
                if key not in known:
                    yield (
                        f"{within}{key}",
                        f"unknown key; known are {', '.join(known)}{did_you_mean(str(key), known)}",
                    )
        case "required":
            for key in rule:
                if key not in value:
                    yield f"{within}{key}", "the cell is empty; fill it" if cell else "is missing; add it"
        case "type":
            wanted = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "text"}
            yield place, f"{value!r} is not {wanted.get(str(rule), 'a table of keys and values')}; correct it"
        case "enum":
            choices = [str(choice) for choice in rule]
            yield place, f"{value!r} is not one of {', '.join(choices)}{did_you_mean(str(value), choices)}"
        case "minimum":
            yield place, f"{value!r} is too small; use {rule} or more"
        case "maximum":
            yield place, f"{value!r} is too large; use {rule} or less"
        case "exclusiveMinimum":
            yield place, f"{value!r} is too small; use more than {rule}"
        case "pattern":
            yield place, f"invalid value {value!r}; {schema['patternHelp']}"
        case "minLength":
            yield place, "is empty; fill it"
        case _:
            yield place, error.message
