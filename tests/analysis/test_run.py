import dataclasses
import json

import pytest

from poseact.analysis.run import begin_rescore, end_rescore, open_run, require_same_settings
from poseact.errors import ConfigError, OutputError
from poseact.timeline.segments import SegmentRules

MODELS = {
    "detector_id": None,
    "pose_id": "fast@1",
    "action_id": "mlp@2",
    "actions": ("hello", "other"),
}


def test_run_json_tells_where_results_come_from(make_config):
    config = make_config("a.mp4", rules=SegmentRules(on=0.7))

    run = open_run(config, **MODELS)

    content = json.loads((config.out / "run.json").read_text())
    assert run.model_id == "fast@1+mlp@2"
    assert content["run_id"] == run.run_id
    assert content["config_hash"] == run.config_hash
    assert content["config"]["rules"]["on"] == 0.7
    assert content["config"]["videos"] == ["a.mp4"]
    assert content["poseact_version"]


def test_a_second_call_takes_up_the_run(make_config):
    first = open_run(make_config("a.mp4"), **MODELS)

    assert open_run(make_config("b.mp4", chunk_mib=7, limit=1), **MODELS) == first


@pytest.mark.parametrize(
    ("config_changes", "model_changes", "difference"),
    [
        pytest.param(
            {"rules": SegmentRules(on=0.8)}, {}, r"rules\.on was 0\.6, is 0\.8", id="a rule"
        ),
        pytest.param({}, {"pose_id": "fast@9"}, "pose-model was fast@1, is fast@9", id="a model"),
        pytest.param(
            {"min_pose_confidence": 0.5}, {}, r"was 0\.0, is 0\.5", id="when nobody is there"
        ),
    ],
)
def test_results_of_other_settings_are_not_mixed(
    make_config, config_changes, model_changes, difference
):
    config = make_config("a.mp4", rules=SegmentRules())
    open_run(config, **MODELS)

    with pytest.raises(ConfigError, match=difference):
        open_run(dataclasses.replace(config, **config_changes), **{**MODELS, **model_changes})


def test_what_changes_results_changes_the_hash(make_config, tmp_path):
    hashes = {
        open_run(make_config("a.mp4", out=tmp_path / name, **changes), **MODELS).config_hash
        for name, changes in [
            ("plain", {}),
            ("chunks", {"chunk_mib": 5}),
            ("rules", {"rules": SegmentRules(off=0.1)}),
        ]
    }

    assert len(hashes) == 2


@pytest.mark.parametrize("text", ["[]", "{", "{}"])
def test_a_file_that_is_not_ours_is_refused(make_config, text):
    config = make_config("a.mp4")
    config.out.mkdir()
    (config.out / "run.json").write_text(text)

    with pytest.raises(ConfigError, match=r"run\.json"):
        open_run(config, **MODELS)


def test_a_folder_that_cannot_be_written_is_an_output_error(make_config, tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot be written"):
        open_run(make_config("a.mp4", out=tmp_path / "file" / "out"), **MODELS)


def test_overwrite_takes_up_the_folder_and_knows_the_run_before(make_config):
    config = make_config("a.mp4", rules=SegmentRules())
    before = open_run(config, **MODELS)
    (before.work.root / "parts" / "left").mkdir()
    other = dataclasses.replace(config, rules=SegmentRules(on=0.8), overwrite=True)

    after = open_run(other, **MODELS)

    assert after.run_id != before.run_id
    assert after.work.root != before.work.root
    assert not before.work.root.exists()
    assert open_run(dataclasses.replace(other, overwrite=False), **MODELS) == after
    with pytest.raises(ConfigError, match=r"rules\.on was 0\.6, is 0\.8.*--overwrite"):
        require_same_settings(after, {before.run_id, after.run_id})
    require_same_settings(after, {after.run_id})


def test_results_of_the_settings_before_the_last_are_ones_own_again(make_config):
    config = make_config("a.mp4", rules=SegmentRules())
    first = open_run(config, **MODELS)
    other = dataclasses.replace(config, rules=SegmentRules(on=0.8), overwrite=True)
    second = open_run(other, **MODELS)

    third = open_run(dataclasses.replace(config, overwrite=True), **MODELS)

    assert third.own_ids == {first.run_id, third.run_id}
    require_same_settings(third, {first.run_id, third.run_id})
    with pytest.raises(ConfigError, match=r"rules\.on was 0\.8, is 0\.6"):
        require_same_settings(third, {second.run_id})


def test_scoring_anew_does_not_pass_for_looking_anew(make_config):
    config = make_config("a.mp4")
    first = open_run(config, **MODELS)
    second = open_run(dataclasses.replace(config, detect_every_s=0.5, overwrite=True), **MODELS)
    second.remove_work()

    def rescored(run_ids):
        return begin_rescore(
            config.out,
            action_model=None,
            action_id="mlp@3",
            actions=("bow", "other"),
            rules={"on": 0.9},
            run_ids=run_ids,
        )

    before = (config.out / "run.json").read_text()
    with pytest.raises(ConfigError, match=r"detect-every-s was .*, is 0\.5.*--overwrite"):
        rescored([first.run_id, second.run_id])
    assert (config.out / "run.json").read_text() == before
    end_rescore(rescored([second.run_id]))


def test_after_a_rescore_all_results_are_of_its_settings(make_config):
    config = make_config("a.mp4", rules=SegmentRules())
    first = open_run(config, **MODELS)
    second = open_run(
        dataclasses.replace(config, rules=SegmentRules(on=0.8), overwrite=True), **MODELS
    )
    second.remove_work()
    end_rescore(
        begin_rescore(
            config.out,
            action_model=None,
            action_id="mlp@2",
            actions=MODELS["actions"],
            rules={"on": 0.7},
            run_ids=[first.run_id, second.run_id],
        )
    )

    run = open_run(dataclasses.replace(config, rules=SegmentRules(on=0.7)), **MODELS)

    require_same_settings(run, {first.run_id, second.run_id})


def test_overwrite_with_the_same_settings_changes_nothing(make_config):
    config = make_config("a.mp4")
    before = open_run(config, **MODELS)

    assert open_run(dataclasses.replace(config, overwrite=True), **MODELS) == before


def test_a_run_whose_folder_was_taken_or_removed_is_told(make_config):
    config = make_config("a.mp4")
    run = open_run(config, **MODELS)
    run.require_current()
    open_run(dataclasses.replace(config, detect_every_s=0.5, overwrite=True), **MODELS)

    with pytest.raises(OutputError, match=f"no longer holds run {run.run_id}"):
        run.require_current()
    (config.out / "run.json").unlink()
    with pytest.raises(OutputError, match=f"no longer holds run {run.run_id}"):
        run.require_current()


def test_the_work_folder_goes_when_no_video_is_unfinished(make_config):
    run = open_run(make_config("a.mp4"), **MODELS)
    (run.work.root / "manifest" / "v.json").write_text("{}")

    run.remove_work()
    assert run.work.root.exists()

    (run.work.root / "manifest" / "v.json").unlink()
    run.remove_work()
    assert not (run.out / "work").exists()
