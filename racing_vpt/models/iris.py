"""IRIS: a tokenizer, a world model on its tokens, and an actor-critic that learns in what the world model imagines.

Micheli et al. 2022 (arXiv:2209.00588), algorithm 1. One module trains all three, each from its own epoch on with its
own number of updates an epoch; what they learn from are segments of recordings, of what the actor itself lived
through, or of both (`replay/segment_datamodule.py`, `callbacks/collection.py`). Unlike the paper, each part can be a
trained one that stays as it is, the world model sees all true frames of the burn-in before it imagines, and the actor
may begin by imitating recorded drivers. What else differs is said where the parts are, in `nn/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from einops import rearrange
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from racing_vpt.games.controls import ControlScheme
from racing_vpt.models.encoder import WORLD_FRAMES
from racing_vpt.models.iris_parts import (
    TRAIN_AGENT,
    TRAIN_TOKENIZER,
    TRAIN_WORLD,
    Joined,
    Plan,
    TokenMemo,
    Training,
    joined,
)
from racing_vpt.models.look_ahead import next_frames
from racing_vpt.models.module import learning_rate
from racing_vpt.models.token_world import Architecture, TokenWorld
from racing_vpt.models.tokenizer import Tokenizer
from racing_vpt.models.tokenizer_use import take_tokenizer, take_world
from racing_vpt.nn.actor_critic import AGENT_SIZES, ActorCritic, AgentSize, AgentState, Sees
from racing_vpt.nn.dreaming import dream, imitate, learn, view
from racing_vpt.nn.imagination import led_here
from racing_vpt.nn.outcomes import ActionKind, RewardKind
from racing_vpt.nn.quantizer import perplexity, usage
from racing_vpt.nn.returns import SlowTwin, Spread
from racing_vpt.nn.sizes import named_size
from racing_vpt.nn.token_blocks import Positions, WorldSize
from racing_vpt.nn.token_net import known_in
from racing_vpt.nn.tokenizer_net import QuantizerKind, TokenizerSize, pictures_of
from racing_vpt.types import Batch, Frame, FrameSpec, PartBatch, PartRequest, Segments, frame_spec

Named = Literal["paper", "tiny"]
PARTS = ("tokenizer", "world", "agent")
SHOWN = 64  # frames of a validation batch by which the tokenizer is judged


class IRIS(LightningModule):
    """Learns a world, and to drive in what it imagines; it drives by what its tokenizer makes of a frame.

    Args:
        frames: what the model wants to see.
        scheme: name of the control scheme.
        size: `paper` or `tiny`, of all parts that are given no size of their own.
        tokenizer_size: of the tokenizer; None: as `size`.
        world_size: of the world model's transformer; None: as `size`.
        agent_size: of actor and critic; None: as `size`.
        quantizer: `vq` or `fsq`.
        vocabulary: tokens that there are.
        levels: of `fsq`.
        pixel_loss: the tokenizer's, `l1` or `l2`.
        perceptual: checkpoint whose features the tokenizer's perceptual loss compares; None: no such loss.
        perceptual_weight: of it.
        commitment_weight: of the distance between features and their codes.
        architecture: of the world model, `gpt` as IRIS, `frame` as STORM or `mdn-rnn` as World Models.
        positions: `rotary`, whose window slides, or `absolute`, the paper's, which is flushed.
        pretrained: folder of a causal language model whose blocks take the place of the world model's.
        actions: how the world model sees them, `continuous` or `discrete`.
        reward: how it tells rewards, `symlog` or `sign`.
        unroll: frames that it imagines in training, in some segments, and goes on from; not for `gpt`.
        init_tokenizer: checkpoint of a tokenizer to start from (path, run folder or zoo:NAME).
        init_world: checkpoint of a world model, or of an IRIS for its world, to start from, its tokenizer with it.
        init_from: checkpoint of an IRIS to start from, all of it.
        train_tokenizer: how it is trained. Where it is not, recorded frames are coded once and for all.
        train_world: how the world model is trained.
        train_agent: how actor and critic are trained; its batch is the number of dreams.
        world_frames: frames of a segment that the world model learns from.
        burn_in: true frames that world model and agent see before a dream begins.
        horizon: steps of a dream.
        reuse: updates from the same dreams; they count as one in the plan. The paper's is 1.
        tau: temperature of dreams.
        gamma: discount of a step.
        lam: of the lambda-returns.
        entropy_weight: what a nat of the actor's entropy is worth, in advantage.
        entropy_end: what it is worth in the end, linearly over the actor's updates; None: it stays. Greedily, an actor
            that was paid for entropy to the end drives much worse than its draws.
        scale_returns: divide advantages by the spread of returns, where that is above 1.
        slow_decay: what the critic that makes targets keeps of itself at an update.
        imitate_updates: first updates of the actor that imitate recorded controls instead of dreaming.
        imitate_weight: of that imitation beside the dreams afterwards.
        epsilon: share of random actions while it drives to collect.
        act: how it drives greedily: the `mode` of each control; on axes the `mean`; or `turns`, that and of choices
            each class in turn, as often as it is likely: a pedal that is half on is on at every other decision.
        sees: what the agent sees of tokens, `pictures` as the paper's, or the tokenizer's `codes` of them, which is
            quicker by far and wants a tokenizer that stays as it is by the time that the agent learns.
        compile: whether the world model's blocks go through torch.compile, to learn and to dream; for a GPU: on a CPU
            a dream is about as quick without.
    """

    TWINS = (("slow.net.", "agent."),)  # not exported
    updates: Tensor

    def __init__(
        self,
        frames: FrameSpec = WORLD_FRAMES,
        scheme: str = "carracing",
        size: Named = "paper",
        tokenizer_size: Named | TokenizerSize | dict | None = None,
        world_size: Named | WorldSize | dict | None = None,
        agent_size: Named | AgentSize | dict | None = None,
        quantizer: QuantizerKind = "vq",
        vocabulary: int = 512,
        levels: Sequence[int] = (8, 8, 8),
        pixel_loss: Literal["l1", "l2"] = "l1",
        perceptual: str | None = "zoo:vpt-carracing",
        perceptual_weight: float = 0.1,
        commitment_weight: float = 0.25,
        architecture: Architecture = "gpt",
        positions: Positions = "rotary",
        pretrained: str | None = None,
        actions: ActionKind = "continuous",
        reward: RewardKind = "symlog",
        unroll: int = 0,
        init_tokenizer: str | None = None,
        init_world: str | None = None,
        init_from: str | None = None,
        train_tokenizer: Training = TRAIN_TOKENIZER,
        train_world: Training = TRAIN_WORLD,
        train_agent: Training = TRAIN_AGENT,
        world_frames: int = 20,
        burn_in: int = 20,
        horizon: int = 20,
        reuse: int = 1,
        tau: float = 1.0,
        gamma: float = 0.995,
        lam: float = 0.95,
        entropy_weight: float = 1e-3,
        entropy_end: float | None = None,
        scale_returns: bool = True,
        slow_decay: float = 0.98,
        imitate_updates: int = 0,
        imitate_weight: float = 0.0,
        epsilon: float = 0.01,
        act: Literal["mode", "mean", "turns"] = "mode",
        sees: Sees = "pictures",
        compile: bool = False,
    ) -> None:
        super().__init__()
        if min(world_frames - 1, burn_in + 1, horizon, reuse, imitate_updates + 1) < 1 or not 0 <= epsilon <= 1:
            raise ValueError(
                f"a segment has 2 frames or more, a dream 1 step or more, reuse counts from 1, burn_in and "
                f"imitate_updates from 0 and epsilon is a share, but world_frames, horizon, reuse, burn_in, "
                f"imitate_updates and epsilon are {world_frames}, {horizon}, {reuse}, {burn_in}, {imitate_updates} and "
                f"{epsilon}"
            )
        weights = (entropy_weight, entropy_end or 0.0, imitate_weight)
        if not 0 <= gamma <= 1 or not 0 <= lam <= 1 or min(tau, *weights) < 0:
            raise ValueError(
                f"gamma and lam lie in [0, 1], and tau, entropy_weight, entropy_end and imitate_weight are 0 or more, "
                f"but they are {gamma}, {lam}, {tau}, {entropy_weight}, {entropy_end} and {imitate_weight}"
            )
        self.automatic_optimization = False
        self.frames = frame_spec(frames)
        given: tuple[Training | dict, ...] = (train_tokenizer, train_world, train_agent)  # a checkpoint's: dictionaries
        trainings = [each if isinstance(each, Training) else Training(**each) for each in given]
        self.trainings = dict(zip(PARTS, trainings, strict=True))
        self.plan = Plan(self.trainings, world_frames, burn_in, horizon, imitate_updates)
        self.init_tokenizer, self.init_world, self.init_from = init_tokenizer, init_world, init_from
        self.horizon, self.burn_in, self.reuse = horizon, burn_in, reuse
        self.tau, self.gamma, self.lam = tau, gamma, lam
        self.entropy_weight, self.entropy_end = entropy_weight, entropy_end
        self.imitate_updates, self.imitate_weight = imitate_updates, imitate_weight
        self.epsilon, self.act, self.compiles = epsilon, act, compile
        eye = size if tokenizer_size is None else tokenizer_size
        self.world = TokenWorld(
            None, self.frames, size if world_size is None else world_size, eye, quantizer, vocabulary, tuple(levels),
            architecture, positions, pretrained, scheme, actions, reward, unroll,
        )  # fmt: skip
        coder = Tokenizer(
            self.frames, eye, quantizer, vocabulary, levels, pixel_loss, perceptual, perceptual_weight,
            commitment_weight,
        )  # fmt: skip
        coder.net = self.world.tokenizer
        self._coder = [coder]  # in a list, so that its weights do not stand twice in a checkpoint
        self.scheme: ControlScheme = self.world.scheme
        agent = named_size(size if agent_size is None else agent_size, AGENT_SIZES, "agent")
        numbers = self.world.grid[0] * self.world.grid[1] * self.world.tokenizer.size.width
        self.agent = ActorCritic(agent, self.scheme, self.frames.height, self.frames.width, sees, numbers)
        self.slow = SlowTwin(self.agent, slow_decay)
        self.spread = Spread() if scale_returns else None
        self.register_buffer("updates", torch.zeros(len(PARTS), dtype=torch.int64))  # of each part
        self.memo = TokenMemo(self.world.grid[0] * self.world.grid[1])

    # ------------------------------------------------------------ beginning

    def setup(self, stage: str) -> None:
        if stage != "fit":
            return
        if self.trainings["tokenizer"].steps:
            self._coder[0].setup(stage)
            self.world.tokenizer.requires_grad_(True)
        if self.trainer.ckpt_path is None:
            if self.world.pretrained is not None:
                self.world.net.blocks = self.world.blocks("rotary", weights=True)
            self.take_parts()
            self.slow.net.load_state_dict(self.agent.state_dict())
        if self.compiles:
            cast(nn.Module, self.world.net.blocks).compile()

    def take_parts(self) -> None:
        """Start from other checkpoints, as asked for.

        Raises:
            FileNotFoundError: one is not there.
            ValueError: one does not fit, such as a tokenizer of another vocabulary or of other frames; or the tokenizer
                is neither given nor trained.
        """
        from racing_vpt.checkpoints.load import load_strictly, read_checkpoint

        if not self.trainings["tokenizer"].steps and not (self.init_from or self.init_world or self.init_tokenizer):
            raise ValueError(
                "with --model.train_tokenizer.steps 0 the tokenizer stays as it is, so it has to come from somewhere: "
                "give --model.init_world runs/tokenworld/NAME (make iris-world), --model.init_tokenizer or "
                "--model.init_from"
            )
        if self.init_from is not None:
            load_strictly(self, read_checkpoint(self.init_from).state_dict, self.init_from)
            self.updates.zero_()
        if self.init_world is not None:
            take_world(self.world, self.frames, read_checkpoint(self.init_world), self.init_world)
        if self.init_tokenizer is not None:
            checkpoint = read_checkpoint(self.init_tokenizer)
            before = self.world.encoder_fingerprint()
            take_tokenizer(self.world.tokenizer, self.frames, checkpoint, self.init_tokenizer)
            if self.init_world is not None and self.world.encoder_fingerprint() != before:
                raise ValueError(
                    f"{self.init_world} was trained on the tokens of another tokenizer than {self.init_tokenizer}; "
                    "leave --model.init_tokenizer out: its own comes with it"
                )
            if not (self.init_world or self.init_from):
                self.world.begin_with_codes()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:  # type: ignore[override]
        return [self.trainings[part].optimizer(self.net_of(part).parameters()) for part in PARTS]

    def net_of(self, part: str) -> nn.Module:
        """What of the module is trained with a part."""
        return {"tokenizer": self.world.tokenizer, "world": self.world.net, "agent": self.agent}[part]

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["memo"] = self.memo.state()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        if "memo" in checkpoint:
            self.memo.restore(checkpoint["memo"])

    # ------------------------------------------------------------ what it asks of its data

    @property
    def control_names(self) -> tuple[str, ...]:
        """Names of an action's numbers, in their order."""
        return self.scheme.controls

    @property
    def updates_per_epoch(self) -> int:
        """Updates in an epoch, those of parts that do not learn yet included."""
        return self.plan.updates_per_epoch

    @property
    def coder(self) -> TokenWorld | None:
        """Whose tokens take the place of recorded frames; None where the tokenizer is trained."""
        return None if self.trainings["tokenizer"].steps else self.world

    def wanted(self, step: int) -> PartRequest:
        """What the update of this number, from 0, is to learn from."""
        return self.plan.wanted(step)

    # ------------------------------------------------------------ driving

    def initial_state(self, n: int, device: torch.device | str = "cpu") -> AgentState:
        """The memory of n agents before an episode."""
        return cast(AgentState, tuple(x.to(device) for x in self.agent.initial(n)))

    def seen(self, frames: Tensor) -> Tensor:
        """What the agent sees of frames uint8 [N, H, W, 3]; as `nn.dreaming.view`."""
        return view(self.world, self.agent, self.world.code(frames))

    def policy(self, frames: Tensor, first: Tensor, state: AgentState) -> tuple[dict[str, Tensor], AgentState]:
        """Probabilities [N, T, classes] by head for frames uint8 [N, T, H, W, 3], and what is remembered after them."""
        pictures = self.seen(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        judged, state = self.agent(pictures, state, first)
        return {name: x.exp() for name, x in judged.log_probs.items()}, state

    @torch.no_grad()
    def explore(
        self, frames: Tensor, first: Tensor, state: AgentState, generator: torch.Generator
    ) -> tuple[Tensor, AgentState]:
        """Actions float32 [N, A], drawn, for frames uint8 [N, H, W, 3] with `first` bool [N]; and the memory."""
        judged, state = self.agent(self.seen(frames).unsqueeze(1), state, first.unsqueeze(1))
        classes, _ = self.agent.choose(judged, 1.0, generator)
        at_random = torch.rand(len(frames), 1, generator=generator, device=frames.device) < self.epsilon
        for name, count in self.scheme.num_classes.items():
            anything = torch.randint(count, at_random.shape, generator=generator, device=frames.device)
            classes[name] = torch.where(at_random, anything, classes[name])
        controls = self.scheme.decode(classes)
        return torch.stack([controls[name][:, 0] for name in self.control_names], -1), state

    # ------------------------------------------------------------ learning

    def training_step(self, work: PartBatch, batch_idx: int) -> None:
        if not work.segments:
            return
        if work.part == "agent":
            found = self.learn_to_act(self.joined(work.segments))
        else:
            losses = self.tokenizer_losses if work.part == "tokenizer" else self.world_losses
            found = losses(work.segments)
            self.update(work.part, found["loss"])
        prefix = "actor" if work.part == "agent" else work.part
        self.log_dict({f"train/{prefix}_{name}": x.detach() for name, x in found.items()}, batch_size=1)

    def update(self, part: str, loss: Tensor) -> None:
        """One step of a part's optimizer, and what follows from it."""
        number, training = PARTS.index(part), self.trainings[part]
        optimizer = cast(list[torch.optim.Optimizer], self.optimizers())[number]
        factor = learning_rate(
            int(self.updates[number]), training.warmup_steps, self.total_updates(part), training.schedule
        )
        for group in optimizer.param_groups:
            group["lr"] = training.lr * factor
        optimizer.zero_grad()
        self.manual_backward(loss)
        self.clip_gradients(optimizer, training.clip, "norm")  # type: ignore[arg-type]
        optimizer.step()
        self.updates[number] += 1
        if part == "tokenizer":
            self.memo.forget()
        if part == "agent":
            self.slow.follow(self.agent)

    def total_updates(self, part: str) -> float:
        """Those of a part in the run; of the actor's, each of several from the same dreams."""
        return self.trainings[part].total(self.trainer.max_epochs) * (self.reuse if part == "agent" else 1)

    @property
    def entropy_worth(self) -> float:
        """What a nat of entropy is worth at the present update of the actor."""
        if self.entropy_end is None:
            return self.entropy_weight
        done = min(1.0, int(self.updates[PARTS.index("agent")]) / self.total_updates("agent"))
        return self.entropy_weight + done * (self.entropy_end - self.entropy_weight)

    def joined(self, segments: list[Segments]) -> Joined:
        """Segments as one batch of tokens."""
        tokens = []
        for each in segments:
            if each.codes is not None:
                tokens.append(each.codes.round().long())
            else:
                assert each.index is not None
                tokens.append(self.memo.tokens(each.frames, each.index, self.world.code))
        return joined(segments, tokens)

    def tokenizer_losses(self, segments: list[Segments]) -> dict[str, Tensor]:
        """As `Tokenizer.losses`, and the perplexity of the codebook."""
        pictures = pictures_of(torch.cat([each.frames.flatten(0, 1) for each in segments]))
        coder = self._coder[0].train()
        losses, _, tokens = coder.losses(pictures)
        with torch.no_grad():
            losses["codebook_perplexity"] = perplexity(usage(tokens, self.world.tokenizer.vocabulary))
        return losses

    def world_losses(self, segments: list[Segments]) -> dict[str, Tensor]:
        """As `TokenWorldNet.losses`."""
        given = self.joined(segments)
        self.world.keep_start(given.batch(self.control_names))
        self.world.net.train()
        known = known_in(given.first, given.valid, given.ended_known)
        return self.world.net.losses(given.tokens, given.actions, given.first, known, given.rewards, given.ended)

    def learn_to_act(self, given: Joined) -> dict[str, Tensor]:
        """Updates of actor and critic from dreams that begin where segments end; what was learnt, for the log.

        As `nn.dreaming.learn` says, and what imitation costs; of the last update.
        """
        alone = int(self.updates[PARTS.index("agent")]) < self.imitate_updates
        if alone:
            loss = self.imitation(given)
            self.update("agent", loss)
            return {"loss": loss, "imitation": loss}
        self.world.eval()
        going_on = given.valid[:, -1].nonzero()[:, 0]  # from an episode's last frame nothing follows
        rows = torch.arange(len(given.valid), device=going_on.device)
        starts = given.rows(going_on[rows % len(going_on)]) if len(going_on) else given
        done = led_here(starts.actions)
        dreamt = dream(self.world, self.agent, starts.tokens, done, self.horizon, starts.first, self.slow, self.tau)
        for _ in range(self.reuse):
            found = learn(self.agent, dreamt, self.slow, self.spread, self.gamma, self.lam, self.entropy_worth)
            if self.imitate_weight:
                found["imitation"] = self.imitation(given)
                found["loss"] = found["loss"] + self.imitate_weight * found["imitation"]
            self.update("agent", found["loss"])
        return found if self.spread is None else {**found, "return_spread": self.spread.range}

    def imitation(self, given: Joined) -> Tensor:
        """As `nn.dreaming.imitate`."""
        return imitate(self.agent, self.world, given.tokens, given.actions, given.first, given.valid)

    # ------------------------------------------------------------ judging

    def coded(self, batch: Batch) -> Batch:
        """The batch with the tokens of its frames."""
        flat = batch.frames.flatten(0, 1)
        tokens = torch.cat([self.world.code(some) for some in flat.split(256)])
        batch.codes = rearrange(tokens, "(b t) k -> b t k", b=len(batch.frames)).float()
        return batch

    def on_validation_epoch_start(self) -> None:
        self.world.on_validation_epoch_start()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """How good tokens and expectations are on clips that were not learnt from; driving is the callbacks' affair."""
        if not batch.valid.any():
            return
        batch, count = self.coded(batch), max(1, int(batch.valid.sum()))
        shown = batch.frames[batch.valid][:: max(1, count // SHOWN)]
        eye = self._coder[0].eval().losses(pictures_of(shown))[0]
        found = {f"val/world_{name}": x for name, x in self.world.losses(batch).items()}
        found |= {f"val/tokenizer_{name}": x for name, x in eye.items()}
        self.log_dict(found, batch_size=count, on_epoch=True, sync_dist=True)
        self.world.look(batch)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.world.looked(), sync_dist=True)

    def pictures(self, batch: Batch) -> dict[str, Frame]:
        """`reconstructions` and `imagined`, uint8 [H, W, 3]; as `Tokenizer.pictures` and `look_ahead.next_frames`."""
        batch = self.coded(batch)
        return {**self._coder[0].pictures(batch), "imagined": next_frames(self.world, batch)}
