"""Trials kept in a file: read as written, the best of each place, and a damaged line refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from companion.records import Trial, read_trials, save_trials, winners
from companion.released import PaperConfig
from psl.errors import RecordError


def trial(number: int, score: float | None = 0.1, **changes: Any) -> Trial:
    config = PaperConfig(protocol="clean", lr=0.01 * (number + 1), **changes.pop("config", {}))
    return Trial(
        **{
            "search": "0" * 16,
            "number": number,
            "fields": ["lr"],
            "dataset_fingerprint": "a" * 64,
            "config": config.as_dict(),
            "state": "complete",
            "score": score,
            "epoch": 5,
            "seconds": 1.5,
            "made": {"device": "cpu"},
            **changes,
        }
    )


def test_what_is_read_is_what_was_written_and_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "new" / "trials.jsonl"
    first = [trial(0), trial(1, None, state="diverged", epoch=None, why="NaN")]
    save_trials(path, first)
    assert read_trials(path) == first
    other = [trial(0, search="1" * 16)]
    save_trials(path, other)
    assert read_trials(path) == first + other
    again = [*first, trial(2)]
    save_trials(path, again)
    assert read_trials(path) == other + again


def test_the_winner_is_the_first_of_the_best_that_are_complete() -> None:
    psl, sl = {}, {"loss": "sl"}
    tried = [
        trial(0, 0.2, config=psl),
        trial(1, 0.3, config=psl),
        trial(2, 0.3, config=psl),
        trial(3, 0.9, config=psl, state="pruned"),
        trial(4, None, config=psl, state="diverged"),
        trial(0, 0.1, config=sl),
    ]
    best = winners(tried)
    assert best == {
        ("synthetic", "iid", "mf", "psl-relu"): tried[1],
        ("synthetic", "iid", "mf", "sl"): tried[5],
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "done"}, "state"),
        ({"score": 1.5}, "score"),
        ({"score": "0.1"}, "score"),
        ({"extra": 1}, "extra"),
        ({"config": {"loss": "softmax"}}, "unknown loss"),
        ({"config": {"loss": "sl"}}, "configuration"),
        ({"config": {"los": "sl"}}, "los"),
        ({"search": "x"}, "search"),
        (None, "JSON"),
    ],
)
def test_a_line_that_is_no_trial_is_named(
    tmp_path: Path, change: dict[str, Any] | None, said: str
) -> None:
    path = tmp_path / "trials.jsonl"
    save_trials(path, [trial(0)])
    line = json.loads(path.read_text()) | (change or {})
    path.write_text(path.read_text() + json.dumps(line)[: None if change else 40] + "\n")
    before = path.read_bytes()
    with pytest.raises(RecordError, match=rf"trials\.jsonl:2: .*{said}"):
        read_trials(path)
    with pytest.raises(RecordError):
        save_trials(path, [trial(1)])
    assert path.read_bytes() == before
    path.write_bytes(b"\xff\n")
    with pytest.raises(RecordError, match="not text"):
        read_trials(path)
