"""The world model over tokens: training on stored tokens, look-ahead metrics, and its variants."""

from pathlib import Path

import pytest
import torch
from building import build, nested

from racing_vpt.checkpoints.load import load_module, save_checkpoint
from racing_vpt.cli.main import main
from racing_vpt.models.mdn_rnn import MDNRNN
from racing_vpt.models.pretrained import language_model_blocks
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.models.tokenizer import Tokenizer
from racing_vpt.models.worlds import world_of
from racing_vpt.nn.actor_critic import AGENT_SIZES, ActorCritic
from racing_vpt.nn.dreaming import dream, learn
from racing_vpt.nn.returns import TargetCritic
from racing_vpt.types import Batch

ROOT = Path(__file__).parents[2]


TINY = {"tokenizer.size": "tiny", "world.size": "tiny"}


def tiny_world(options: dict | None = None) -> TokenWorld:
    return build(TokenWorld, TINY | (options or {}))


def batch_of(B: int = 3, T: int = 26, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    codes = torch.randint(512, (B, T, 16), generator=draw).float()
    controls = {name: torch.rand(B, T, generator=draw) for name in ("steering", "throttle", "brake", "gear_change")}
    first, valid = torch.zeros(B, T, dtype=torch.bool), torch.ones(B, T, dtype=torch.bool)
    return Batch(torch.zeros(B, 0, 64, 64, 3), controls, first, valid, valid.float(), torch.randn(B, T), codes=codes)


def test_a_model_that_ignores_its_driver_is_noticed() -> None:
    torch.manual_seed(0)
    world = tiny_world().eval()
    for weight in world.net.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.1)
    batch = batch_of()
    world.look(batch)
    found = world.ahead.figures()
    assert {"psnr_1", "psnr_20", "psnr_still_20", "psnr_gain_20", "psnr_gain_20_low", "action_sensitivity"} <= {*found}
    assert found["psnr_gain_5"] == pytest.approx(found["psnr_5"] - found["psnr_still_5"], abs=1e-4)
    assert found["action_sensitivity"] != 0
    with torch.no_grad():
        world.net.action.project[2].weight.zero_()  # type: ignore[index, union-attr]
    world.ahead.clear()
    world.look(batch)
    assert world.ahead.figures()["action_sensitivity"] == 0


def test_frames_before_the_50th_and_ends_of_episodes_are_not_looked_at() -> None:
    world = tiny_world({"frames": {"stride": 1}}).eval()
    for start, counted in ((40, 0), (45, 1)):  # it looks ahead from the sixth frame of a clip of 26
        batch = batch_of(1)
        batch.ids = [f"name:{start}"]
        world.ahead.clear()
        world.look(batch)
        assert world.ahead.figures().get("look_ahead_clips", 0) == counted
    batch.valid[0, -1] = False
    world.ahead.clear()
    world.look(batch)
    assert not world.ahead.figures()


def test_ends_are_learnt_where_padding_follows_and_beginnings_are_kept() -> None:
    world, batch = tiny_world(), batch_of(T=10)
    batch.valid[1, 6:] = False
    batch.valid[2, 3:] = False
    assert {"loss", "token_ce", "reward_ce", "end_ce"} == {*world.losses(batch)}
    with pytest.raises(ValueError, match="never trained"):
        world.begin(torch.arange(2))
    world.keep_start(batch)
    assert int(world.num_starts) == 1  # the second and third are too short
    state = world.begin(torch.arange(2))
    assert torch.equal(state.observation, world.tokens_in(batch)[[0, 0], 7])
    assert world.imagine(torch.zeros(2, 3), state).observation.shape == (2, 16)


def test_an_agent_dreams_in_it_and_learns_without_touching_it() -> None:
    torch.manual_seed(0)
    world = tiny_world().eval()
    agent = ActorCritic(AGENT_SIZES["tiny"], world.scheme)
    target, first = TargetCritic(agent), torch.zeros(2, 3, dtype=torch.bool)
    first[1, 2] = True
    dreamt = dream(world, agent, torch.randint(512, (2, 3, 16)), torch.rand(2, 3, 3), 3, first, target)
    assert dreamt.pictures.shape == (2, 4, 3, 64, 64)
    assert dreamt.before[0][0].abs().sum() > 0
    assert dreamt.before[0][1].abs().sum() == 0  # its episode begins with the dream
    learn(agent, dreamt, target)["loss"].backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in agent.eye.parameters())
    assert all(x.grad is None for x in [*world.parameters(), *target.parameters()])


def fit(shards: Path, runs: Path, name: str, *words: str, choice: str | None = None) -> int:
    """A short training of a tiny world model; the exit status."""
    files = ["base", "iris/token_world", "iris/token_world/tiny", *([f"iris/token_world/{choice}"] if choice else [])]
    given = [word for file in files for word in ("--config", str(ROOT / "configs" / f"{file}.yaml"))]
    data = [f"--data.train={shards}", f"--data.val={shards}", "--data.batch_size=2", "--data.val_steps=1"]
    where = [
        f"--data.reading.codes={runs}/codes",
        f"--model.init_tokenizer={runs}/eye",
        f"--runs={runs}",
        f"--name={name}",
    ]
    short = ["--trainer.max_steps=1", "--data.steps_per_epoch=1", "--data.clip_frames=24"]
    return main(["fit", *given, *data, *where, *short, *words])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with an untrained tokenizer."""
    folder = tmp_path_factory.mktemp("worlds")
    torch.manual_seed(0)
    save_checkpoint(
        folder / "eye",
        "racing_vpt.models.tokenizer.Tokenizer",
        {"tokenizer": {"size": "tiny"}},
        build(Tokenizer, {"tokenizer.size": "tiny"}).state_dict(),
    )
    return folder


@pytest.mark.parametrize("choice", [None, "absolute", "cpu", "frame", "mdn-rnn", "sign", "discrete"])
def test_each_choice_trains_on_tokens_that_are_made_once(choice: str | None, tiny_shards: Path, runs: Path) -> None:
    name = choice or "gpt"
    made = {path: path.stat().st_mtime_ns for path in (runs / "codes").glob("*")}
    assert fit(tiny_shards, runs, name, choice=choice) == 0
    assert {path: path.stat().st_mtime_ns for path in (runs / "codes").iterdir()} == made or not made
    run = runs / "tokenworld" / name
    assert list((run / "media" / "reconstructions").glob("imagined-*.png"))
    world = world_of(load_module(run), str(run))
    frames = torch.randint(256, (2, 64, 64, 3), dtype=torch.uint8)
    state = world.observe(world.code(frames).unsqueeze(1), torch.zeros(2, 1, 3), world.initial(2))
    assert world.show(world.imagine(torch.zeros(2, 3), state).observation).shape == (2, 3, 64, 64)


def test_token_embeddings_start_as_far_apart_as_their_codes(tiny_shards: Path, runs: Path) -> None:
    assert fit(tiny_shards, runs, "near", "--model.optimizer.init_args.lr=0.0", choice="frame") == 0
    world = load_module(runs / "tokenworld" / "near")
    assert isinstance(world, TokenWorld)
    codes, found = world.tokenizer.quantizer.lookup(torch.arange(512)), world.net.token.weight
    apart, expected = torch.cdist(found, found), torch.cdist(codes, codes)
    assert torch.corrcoef(torch.stack([apart.flatten(), expected.flatten()]))[0, 1] > 0.999
    assert float(torch.tensor([1e-39]) * 1) == 0  # numbers that small, which are target, are flushed in training


def test_frames_are_imagined_in_training_if_predicted_at_once() -> None:
    assert tiny_world({"world.architecture": "frame", "world.unroll": 3}).net.unroll == 3
    with pytest.raises(ValueError, match="predict a frame at once"):
        tiny_world({"world.unroll": 3})


def test_it_starts_from_another_world_model_and_refuses_what_does_not_fit(
    tiny_shards: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(1)
    other = tiny_world({"game": "carracing:five", "world.actions": "discrete"})  # another game's controls
    save_checkpoint(
        runs / "other", "racing_vpt.models.token_world.TokenWorld",
        nested(TINY | {"game": "carracing:five", "world.actions": "discrete"}), other.state_dict(),
    )  # fmt: skip
    start = f"--model.init_from={runs}/other"
    assert fit(tiny_shards, runs, "started", start, "--model.optimizer.init_args.lr=0.0") == 0
    taken = load_module(runs / "tokenworld" / "started")
    assert isinstance(taken, TokenWorld)
    assert torch.equal(taken.net.token.weight, other.net.token.weight)  # type: ignore[union-attr]
    assert fit(tiny_shards, runs, "unlike", start, "--data.clip_frames=8", choice="absolute") == 2
    assert "other blocks" in capsys.readouterr().err
    assert fit(tiny_shards, runs, "words", "--model.tokenizer.vocabulary=256") == 2
    assert "--model.tokenizer.vocabulary 512" in capsys.readouterr().err
    assert fit(tiny_shards, runs, "eyeless", "--model.init_tokenizer=null") == 2
    assert "make iris-tokenizer" in capsys.readouterr().err
    assert fit(tiny_shards, runs, "quantizer", "--model.tokenizer.quantizer=fsq") == 2
    assert "another tokenizer" in capsys.readouterr().err


@torch.no_grad()
def test_the_memory_of_world_models_is_a_world_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = MDNRNN().eval()
    save_checkpoint(tmp_path, "racing_vpt.models.mdn_rnn.MDNRNN", {}, module.state_dict())
    world = world_of(load_module(tmp_path), str(tmp_path))
    codes = world.code(torch.randint(256, (6, 64, 64, 3), dtype=torch.uint8)).view(2, 3, 32)
    actions = torch.rand(2, 3, 3)
    state = world.observe(codes, actions, world.initial(2))
    found = world.imagine(torch.ones(2, 3), state, tau=0.0)
    remembered, _ = module.net(codes, torch.cat([actions[:, 1:], torch.ones(2, 1, 3)], 1), module.net.initial_state(2))
    torch.testing.assert_close(found.observation, module.net.predict(remembered[:, -1]).draw(0.0))
    torch.testing.assert_close(found.reward, module.net.outcomes(remembered[:, -1])[0])
    assert world.show(found.observation).shape == (2, 3, 64, 64)
    with pytest.raises(ValueError, match="TokenWorld or an MDNRNN"):
        world_of(load_module("zoo:vpt-carracing"), "zoo:vpt-carracing")


def test_a_language_models_blocks_slide_or_are_flushed(tiny_shards: Path, runs: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="pip install '.[transformers]'")
    small = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    llama = transformers.LlamaConfig(**small, num_key_value_heads=2, intermediate_size=64)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(llama)
    model.save_pretrained(tmp_path / "llama")
    known = language_model_blocks(tmp_path / "llama", 8, 17, weights=True).state_dict()
    assert torch.equal(known["model.layers.1.mlp.up_proj.weight"], model.model.layers[1].mlp.up_proj.weight)
    words = [f"--model.world.pretrained={tmp_path}/llama", "--model.tokenizer.size=tiny"]
    still = "--model.optimizer.init_args.lr=0.0"
    assert fit(tiny_shards, runs, "llama", *words, still, choice="pretrained") == 0
    world = load_module(runs / "tokenworld" / "llama")
    assert isinstance(world, TokenWorld)
    assert torch.equal(world.net.blocks.state_dict()["model.norm.weight"], known["model.norm.weight"])
    with torch.no_grad():
        batch = batch_of(2, 20)
        tokens, actions = world.tokens_in(batch), torch.rand(2, 20, 3)
        led = torch.cat([actions[:, :1], actions[:, :-1]], 1)
        state = world.initial(2)
        for step in range(20):  # more than two windows
            state = world.observe(tokens[:, step : step + 1], led[:, step : step + 1], state)
        found = world.imagine(actions[:, -1], state, tau=0.0)
        whole = world.net.predict(tokens, actions, batch.first)
    torch.testing.assert_close(found.end, whole.end[:, -1].sigmoid(), atol=1e-4, rtol=0)
    gpt2 = transformers.GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=4, n_positions=64)
    transformers.AutoModelForCausalLM.from_config(gpt2).save_pretrained(tmp_path / "gpt2")
    assert not language_model_blocks(tmp_path / "gpt2", 3, 17, weights=True).slides
    with pytest.raises(ValueError, match="window of at most 3 steps"):
        language_model_blocks(tmp_path / "gpt2", 8, 17, weights=False)


def test_a_folder_without_a_language_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        language_model_blocks(tmp_path, 8, 17, weights=False)
