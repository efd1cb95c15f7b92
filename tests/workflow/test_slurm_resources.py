"""Where jobs run on a cluster, and how they ask for a GPU, from the configuration."""

import json
from pathlib import Path
from typing import Any

import pytest

from geneformer_codec.predict.settings import ExpertSettings
from geneformer_rules.models import runs_network
from geneformer_rules.sheets import SheetError, check_config
from geneformer_rules.slurm_resources import slurm_resources


def asked(slurm: dict[str, Any], *, gpu: bool | None) -> dict[str, Any]:
    """The resources of a job; ``gpu`` is whether it needs one, None for a rule whose jobs never do."""
    config = check_config({"samples": "samples.tsv", "species": "species.tsv", "slurm": slurm})
    rule = slurm_resources(config, None if gpu is None else lambda wildcards: bool(gpu))
    return {name: value({}) if callable(value) else value for name, value in rule.items()}


def test_what_is_left_open_is_left_to_the_profile() -> None:
    assert asked({}, gpu=None) == {}
    assert asked({}, gpu=False) == {"gpu": 0}
    assert asked({}, gpu=True) == {"gpu": 1}


def test_jobs_with_a_gpu_have_a_partition_of_their_own() -> None:
    slurm = {"account": "lab", "partition": "long", "gpu_partition": "gpu"}
    assert asked(slurm, gpu=None) == {"slurm_account": "lab", "slurm_partition": "long"}
    assert asked(slurm, gpu=False)["slurm_partition"] == "long"
    assert asked(slurm, gpu=True)["slurm_partition"] == "gpu"
    assert asked({"partition": "long"}, gpu=True)["slurm_partition"] == "long"
    with pytest.raises(SheetError, match=r"key 'slurm\.partition': is missing"):
        asked({"gpu_partition": "gpu"}, gpu=True)


@pytest.mark.parametrize(
    ("slurm", "request_"),
    [
        ({"gpu_model": "a100", "gpu_count": 2}, {"gpu": 2, "gpu_model": "a100"}),
        ({"gpu_request": "gres"}, {"gres": "gpu:1"}),
        ({"gpu_request": "gres", "gpu_model": "a100", "gpu_count": 2}, {"gres": "gpu:a100:2"}),
    ],
)
def test_a_gpu_is_requested_as_configured(slurm: dict[str, Any], request_: dict[str, Any]) -> None:
    assert asked(slurm, gpu=True) == request_
    assert not any(asked(slurm, gpu=False).values())


def test_a_model_of_gpu_that_slurm_would_not_understand_is_refused() -> None:
    with pytest.raises(SheetError, match=r"key 'slurm\.gpu_model': invalid value 'a100:2'"):
        asked({"gpu_model": "a100:2"}, gpu=True)


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ({"network": {}}, {"fast", "balanced", "max"}),
        ({"experts": ExpertSettings(network=True).as_dict(), "network": {}}, {"max"}),
        ({"experts": ExpertSettings().as_dict(), "network": {}}, set()),
        ({"experts": ExpertSettings().as_dict()}, set()),
    ],
    ids=["network", "experts that hear a network", "experts that do not", "experts"],
)
def test_a_gpu_is_for_levels_that_run_a_network(given: dict[str, Any], at: set[str], tmp_path: Path) -> None:
    path = tmp_path / "a.gfmodel"
    header = {"format": "gfmodel/1", "id": "ab" * 32, "metadata": "{}"}
    header |= {name: json.dumps(settings) for name, settings in given.items()}
    text = json.dumps({"__metadata__": {"gfmodel": json.dumps(header)}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    assert {level for level in ("fast", "balanced", "max") if runs_network(str(path), level)} == at


def test_a_model_that_is_not_there_yet_is_unknown(tmp_path: Path) -> None:
    assert runs_network(str(tmp_path / "later.gfmodel"), "balanced") is None
