"""IRIS: a tokenizer, a world model on its tokens, and an actor-critic that learns in the world model's imagination.

Micheli et al. 2022 (arXiv:2209.00588), algorithm 1. One module trains all three, each from its own epoch on with its
own number of updates an epoch, from segments of recordings, of the actor's own experience, or of both
(`replay/segment_datamodule.py`, `callbacks/collection.py`). Unlike the paper, a part can be loaded and left as it is,
the world model sees all true frames of the burn-in before it imagines, and the actor may begin by imitating recorded
drivers. Differences of the parts are described with them, in `nn/`.
"""

from __future__ import annotations

from typing import cast

import torch
from einops import rearrange
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from racing_vpt.games.controls import ControlScheme
from racing_vpt.games.read import as_game
from racing_vpt.models.iris_batch import TokenCache, TokenSegments, token_segments
from racing_vpt.models.iris_config import PARTS, Act, ActorConfig, ActorCriticConfig, DreamConfig, TrainingConfig
from racing_vpt.models.module import learning_rate
from racing_vpt.models.parts import load_tokenizer, load_world
from racing_vpt.models.reconstruction import Reconstruction, ReconstructionConfig
from racing_vpt.models.token_world import TokenWorld
from racing_vpt.models.tokenizer import reconstructions
from racing_vpt.models.world_config import WorldConfig
from racing_vpt.nn.actor_critic import ActorCritic, AgentState
from racing_vpt.nn.dreaming import dream, imitate, learn, view
from racing_vpt.nn.imagination import led_here
from racing_vpt.nn.quantizer import perplexity, usage
from racing_vpt.nn.returns import Spread, TargetCritic
from racing_vpt.nn.token_net import known_in
from racing_vpt.nn.tokenizer_net import TokenizerConfig, TokenizerNet, pictures_of
from racing_vpt.types import Batch, Frame, FrameChanges, PartBatch, PartRequest, Segments, frame_spec

SHOWN = 64  # frames of a validation batch on which the tokenizer is measured


class IRIS(LightningModule):
    """Learns a world model, and an actor-critic in the world model's imagination.

    Args:
        game: name or file of the game, or all that its file says.
        frames: how the frames that the model sees differ from the game's for world models.
        tokenizer: network of the tokenizer.
        reconstruction: losses of the tokenizer.
        world: network of the world model.
        actor: networks of actor and critic, and how the actor drives.
        learning: training of actor and critic.
        dreams: the dreams that they are trained on.
        training: which part is trained when and how.
        init_tokenizer: checkpoint of a tokenizer to start from (path, run folder or zoo:NAME).
        init_world: checkpoint of a world model, or of an IRIS for its world model, to start from, tokenizer included.
        init_from: checkpoint of an IRIS to start from, all of it.
    """

    GAME_FRAMES = "world_frames"
    TWINS = (("target_critic.net.", "agent."),)  # copies of networks, which exports leave out
    updates: Tensor

    def __init__(
        self,
        game: str | dict = "carracing",
        frames: FrameChanges = FrameChanges(),  # noqa: B008 - frozen
        tokenizer: TokenizerConfig = TokenizerConfig(),  # noqa: B008 - frozen
        reconstruction: ReconstructionConfig = ReconstructionConfig(),  # noqa: B008 - frozen
        world: WorldConfig = WorldConfig(),  # noqa: B008 - frozen
        actor: ActorConfig = ActorConfig(),  # noqa: B008 - frozen
        learning: ActorCriticConfig = ActorCriticConfig(),  # noqa: B008 - frozen
        dreams: DreamConfig = DreamConfig(),  # noqa: B008 - frozen
        training: TrainingConfig = TrainingConfig(),  # noqa: B008 - frozen
        init_tokenizer: str | None = None,
        init_world: str | None = None,
        init_from: str | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.game = as_game(game)
        self.frames = frame_spec(frames, self.game.world_frames)
        self.actor = actor
        self.act: Act = actor.act
        self.learning = learning
        self.dreams = dreams
        self.training_config = training
        self.trainings = training.parts
        self.init_tokenizer = init_tokenizer
        self.init_world = init_world
        self.init_from = init_from
        self.world = TokenWorld(game=game, frames=frames, tokenizer=tokenizer, world=world)
        TokenizerNet(tokenizer)  # consumes random numbers, so that a seed gives the same initial agent as in 0.1.0
        self.reconstruction = Reconstruction(reconstruction)
        self.scheme: ControlScheme = self.world.scheme
        numbers = self.world.num_tokens * self.world.tokenizer.size.width
        self.agent = ActorCritic(
            actor.widths, self.scheme, height=self.frames.height, width=self.frames.width, sees=actor.sees,
            numbers=numbers,
        )  # fmt: skip
        self.target_critic = TargetCritic(self.agent, learning.target_decay)
        self.spread = Spread() if learning.scale_returns else None
        self.register_buffer("updates", torch.zeros(len(PARTS), dtype=torch.int64))  # of each part
        self.cache = TokenCache(self.world.num_tokens)

    # ------------------------------------------------------------ initial weights

    def setup(self, stage: str) -> None:
        if stage != "fit":
            return
        if self.trainings["tokenizer"].steps:
            self.reconstruction.load()
            self.world.tokenizer.requires_grad_(True)
        if self.trainer.ckpt_path is None:
            self.world.load_pretrained_blocks()
            self.take_parts()
            self.target_critic.net.load_state_dict(self.agent.state_dict())
        if self.training_config.compile:
            cast(nn.Module, self.world.net.blocks).compile()

    def take_parts(self) -> None:
        """Load initial weights from other checkpoints, as configured.

        Raises:
            FileNotFoundError: a checkpoint does not exist.
            ValueError: one does not fit, such as a tokenizer of another vocabulary or of other frames; or the tokenizer
                is neither given nor trained.
        """
        from racing_vpt.checkpoints.load import load_strictly, read_checkpoint

        if not self.trainings["tokenizer"].steps and not (self.init_from or self.init_world or self.init_tokenizer):
            raise ValueError(
                "with --model.training.tokenizer.steps 0 the tokenizer is not trained, so it has to be given: "
                "give --model.init_world runs/tokenworld/NAME (make iris-world), --model.init_tokenizer or "
                "--model.init_from"
            )
        if self.init_from is not None:
            load_strictly(self, read_checkpoint(self.init_from).state_dict, self.init_from)
            self.updates.zero_()
        if self.init_world is not None:
            load_world(self.world, self.frames, read_checkpoint(self.init_world), self.init_world)
        if self.init_tokenizer is not None:
            checkpoint = read_checkpoint(self.init_tokenizer)
            before = self.world.encoder_fingerprint()
            load_tokenizer(self.world.tokenizer, self.frames, checkpoint, self.init_tokenizer)
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
        """The network that is trained as a part."""
        return {"tokenizer": self.world.tokenizer, "world": self.world.net, "agent": self.agent}[part]

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["memo"] = self.cache.state()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        if "memo" in checkpoint:
            self.cache.restore(checkpoint["memo"])

    # ------------------------------------------------------------ what the data module asks

    @property
    def control_names(self) -> tuple[str, ...]:
        """Names of an action's numbers, in their order."""
        return self.scheme.controls

    @property
    def updates_per_epoch(self) -> int:
        """Updates in an epoch, including those of parts whose training has not begun."""
        return self.training_config.updates_per_epoch

    @property
    def coder(self) -> TokenWorld | None:
        """Encodes recorded frames once and for all; None if the tokenizer is trained."""
        return None if self.trainings["tokenizer"].steps else self.world

    def wanted(self, step: int) -> PartRequest:
        """Data needed by update number `step`, from 0."""
        return self.training_config.wanted(step, self.dreams, self.learning.imitate_updates)

    # ------------------------------------------------------------ driving

    def initial_state(self, n: int, device: torch.device | str = "cpu") -> AgentState:
        """Memory of n agents before an episode."""
        return cast(AgentState, tuple(x.to(device) for x in self.agent.initial(n)))

    def seen(self, frames: Tensor) -> Tensor:
        """Input of the agent for frames uint8 [N, H, W, 3]; as `nn.dreaming.view`."""
        return view(self.world, self.agent, self.world.code(frames))

    def policy(self, frames: Tensor, first: Tensor, state: AgentState) -> tuple[dict[str, Tensor], AgentState]:
        """Probabilities [N, T, classes] by head for frames uint8 [N, T, H, W, 3], and the new memory."""
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
        at_random = torch.rand(len(frames), 1, generator=generator, device=frames.device) < self.actor.epsilon
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
            found = self.learn_to_act(self.as_tokens(work.segments))
        else:
            losses = self.tokenizer_losses if work.part == "tokenizer" else self.world_losses
            found = losses(work.segments)
            self.update(work.part, found["loss"])
        prefix = "actor" if work.part == "agent" else work.part
        self.log_dict({f"train/{prefix}_{name}": x.detach() for name, x in found.items()}, batch_size=1)

    def update(self, part: str, loss: Tensor) -> None:
        """One step of a part's optimizer; updates the token cache and the target critic accordingly."""
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
            self.cache.forget()
        if part == "agent":
            self.target_critic.follow(self.agent)

    def total_updates(self, part: str) -> float:
        """Updates of a part in the run; for the actor, each of several from the same dreams counts."""
        return self.trainings[part].total(self.trainer.max_epochs) * (self.dreams.reuse if part == "agent" else 1)

    @property
    def entropy_weight(self) -> float:
        """Value of a nat of entropy at the current update of the actor."""
        weight, end = self.learning.entropy_weight, self.learning.entropy_end
        if end is None:
            return weight
        done = min(1.0, int(self.updates[PARTS.index("agent")]) / self.total_updates("agent"))
        return weight + done * (end - weight)

    def as_tokens(self, segments: list[Segments]) -> TokenSegments:
        """Segments as one batch of tokens."""
        tokens = []
        for each in segments:
            if each.codes is not None:
                tokens.append(each.codes.round().long())
            else:
                assert each.index is not None, "segments without codes carry the numbers of their frames"
                tokens.append(self.cache.tokens(each.frames, each.index, self.world.code))
        return token_segments(segments, tokens)

    def tokenizer_losses(self, segments: list[Segments]) -> dict[str, Tensor]:
        """As `Reconstruction.losses`, and the perplexity of the codebook."""
        pictures = pictures_of(torch.cat([each.frames.flatten(0, 1) for each in segments]))
        losses, _, tokens = self.reconstruction.losses(self.world.tokenizer.train(), pictures)
        with torch.no_grad():
            losses["codebook_perplexity"] = perplexity(usage(tokens, self.world.tokenizer.vocabulary))
        return losses

    def world_losses(self, segments: list[Segments]) -> dict[str, Tensor]:
        """As `TokenWorldNet.losses`."""
        given = self.as_tokens(segments)
        self.world.keep_start(given.batch(self.control_names))
        self.world.net.train()
        known = known_in(given.first, given.valid, given.ended_known)
        return self.world.net.losses(given.tokens, given.actions, given.first, known, given.rewards, given.ended)

    def learn_to_act(self, given: TokenSegments) -> dict[str, Tensor]:
        """Updates of actor and critic from dreams that begin where segments end.

        Returns:
            As `nn.dreaming.learn`, and the imitation loss; of the last update.
        """
        alone = int(self.updates[PARTS.index("agent")]) < self.learning.imitate_updates
        if alone:
            loss = self.imitation(given)
            self.update("agent", loss)
            return {"loss": loss, "imitation": loss}
        self.world.eval()
        going_on = given.valid[:, -1].nonzero()[:, 0]  # nothing follows the last frame of an episode
        rows = torch.arange(len(given.valid), device=going_on.device)
        starts = given.rows(going_on[rows % len(going_on)]) if len(going_on) else given
        done = led_here(starts.actions)
        dreamt = dream(
            self.world,
            self.agent,
            starts.tokens,
            done,
            self.dreams.horizon,
            starts.first,
            self.target_critic,
            self.dreams.tau,
        )
        for _ in range(self.dreams.reuse):
            found = learn(
                self.agent,
                dreamt,
                self.target_critic,
                self.spread,
                self.learning.gamma,
                self.learning.lam,
                self.entropy_weight,
            )
            if self.learning.imitate_weight:
                found["imitation"] = self.imitation(given)
                found["loss"] = found["loss"] + self.learning.imitate_weight * found["imitation"]
            self.update("agent", found["loss"])
        return found if self.spread is None else {**found, "return_spread": self.spread.range}

    def imitation(self, given: TokenSegments) -> Tensor:
        """As `nn.dreaming.imitate`."""
        return imitate(self.agent, self.world, given.tokens, given.actions, given.first, given.valid)

    # ------------------------------------------------------------ validation

    def coded(self, batch: Batch) -> Batch:
        """The batch with the tokens of its frames."""
        flat = batch.frames.flatten(0, 1)
        tokens = torch.cat([self.world.code(some) for some in flat.split(256)])
        batch.codes = rearrange(tokens, "(b t) k -> b t k", b=len(batch.frames)).float()
        return batch

    def on_validation_epoch_start(self) -> None:
        self.world.on_validation_epoch_start()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Losses of tokenizer and world model on held-out clips; callbacks do the driving."""
        if not batch.valid.any():
            return
        batch, count = self.coded(batch), max(1, int(batch.valid.sum()))
        shown = batch.frames[batch.valid][:: max(1, count // SHOWN)]
        tokenizer = self.reconstruction.losses(self.world.tokenizer.eval(), pictures_of(shown))[0]
        found = {f"val/world_{name}": x for name, x in self.world.losses(batch).items()}
        found |= {f"val/tokenizer_{name}": x for name, x in tokenizer.items()}
        self.log_dict(found, batch_size=count, on_epoch=True, sync_dist=True)
        self.world.look(batch)

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.world.looked(), sync_dist=True)

    def pictures(self, batch: Batch) -> dict[str, Frame]:
        """`reconstructions` and `imagined`, uint8 [H, W, 3]; as `Tokenizer.pictures` and `TokenWorld.pictures`."""
        batch = self.coded(batch)
        return {"reconstructions": reconstructions(self.world.tokenizer, batch), **self.world.pictures(batch)}
