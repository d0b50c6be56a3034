"""The training loop: seeded, resumable, one optimiser step an iteration."""

import copy
import logging
import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from threading import Event
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vs_vrt.errors import ArgumentError
from vs_vrt.models.network import Network
from vs_vrt.restorer import channels_last
from vs_vrt.state_dict import CONSTANTS
from vs_vrt.training.batches import Batches
from vs_vrt.training.files import replacing, unfinished, writing
from vs_vrt.training.journal import Check, Iteration, Journal
from vs_vrt.training.objective import Objective, errors
from vs_vrt.training.optimiser import Optimiser
from vs_vrt.training.plot import can_plot, plot
from vs_vrt.training.processes import means
from vs_vrt.training.recomputation import recompute
from vs_vrt.training.state import read_state
from vs_vrt.training.validation import Validation
from vs_vrt.video.footage import write_png

log = logging.getLogger(__name__)
WEIGHTS, STATE = "weights.safetensors", "state.pt"
CHECKS = 20  # validations in a run
BETWEEN_CHECKS = 50  # iterations, at least


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run computes, and what it keeps there: nothing here changes what is learned, up to rounding."""

    folder: Path
    device: torch.device
    bf16: bool = False  # convolve in bfloat16
    checkpointing: bool = False  # of gradients
    save_seconds: float = 120.0
    log_every: int = 25


class Trainer:
    """One run: the network, its moving average, what moves it, and the iteration reached.

    `facts` are what a state must agree with to be continued, beside the recipe.
    """

    def __init__(
        self, model: Network, batches: Batches, place: Place, validation: Validation, facts: Mapping[str, str]
    ) -> None:
        self.model = channels_last(model).to(place.device).train()
        self.recipe, self.batches, self.place = batches.recipe, batches, place
        self.validation, self.facts = validation, dict(facts)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        if place.checkpointing:
            recompute(self.model)
        self.optimiser = Optimiser(self.model, self.recipe)
        self.objective: nn.Module = Objective(self.model, self.recipe)
        if batches.ranks > 1:
            # What a phase leaves alone has no gradients to share.
            self.objective = DistributedDataParallel(self.objective, find_unused_parameters=True)
        self.journal = Journal()
        self.iteration, self.saved = 0, time.monotonic()

    def run(self, asked: Event) -> bool:
        """Trains to the recipe's end, from the folder's last state if there is one; false where `asked` to stop before.

        Raises `ArgumentError`.
        """
        if (self.place.folder / STATE).exists():
            self.load()
        if means((self.iteration,), self.place.device) != [self.iteration]:
            raise ArgumentError(f"not all processes see the state in {self.place.folder}; `--out` a folder they share")
        for inputs, truth in self.batches.ahead(self.iteration, self.recipe.iterations):
            loss, given, restored = self.step(inputs.to(self.place.device), truth.to(self.place.device))
            # One process asked to stop stops all, after the same iteration.
            loss, given, restored, stops = means((loss, given, restored, asked.is_set()), self.place.device)
            self.journal.iterations.append(Iteration(loss, 10 * math.log10(given / restored)))
            if self.journal.lost():
                if self.batches.rank == 0:
                    self.save()
                slower = f"--rate {self.recipe.learning_rate / 4:.1g} --out NEW"
                raise ArgumentError(f"no loss is a number any more; `{slower}`")
            if self.batches.rank == 0:
                self.report(stops > 0)
            if stops:
                break
        return self.iteration == self.recipe.iterations

    def step(self, inputs: Tensor, truth: Tensor) -> tuple[float, float, float]:
        """`(b t c h w), (b t 3 h' w')`: one step; the loss, and the squared errors of what was given and of restored.

        Where nothing was restored they are the same.
        """
        learns = self.recipe.phase(self.iteration).learns
        self.optimiser.prepare(self.iteration)
        with self.precision():
            loss, restored = self.objective(inputs, truth, learns)
        # Some gradients of what is no number crash; and no process may wait for the others in vain.
        if means((float(loss.isfinite()),), self.place.device) == [1.0]:
            loss.backward()
            self.optimiser.step()
        self.iteration += 1
        self.update_average()
        return loss.item(), *((1.0, 1.0) if restored is None else errors(inputs, restored, truth))

    def precision(self) -> AbstractContextManager[Any]:
        """In which the network computes."""
        return torch.autocast(self.place.device.type, torch.bfloat16) if self.place.bf16 else nullcontext()

    def update_average(self) -> None:
        """The exponential moving average that is shipped; it forgets faster while the run is young."""
        decay = min(self.recipe.ema, self.iteration / (9 + self.iteration))
        for mean, now in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(now.detach(), 1 - decay)

    def report(self, stops: bool) -> None:
        """Logs, validates and saves where it is time to."""
        ends = self.iteration == self.recipe.iterations
        if self.iteration % self.place.log_every == 0 or ends:
            log.info("iteration %d of %d: %s", self.iteration, self.recipe.iterations, self.journal.recent())
        if self.iteration % max(BETWEEN_CHECKS, self.recipe.iterations // CHECKS) == 0 or ends:
            self.validate()
        if stops or ends or time.monotonic() - self.saved >= self.place.save_seconds:
            self.save()

    def validate(self) -> None:
        """Measures the averaged network, and keeps a picture of what it does."""
        with self.precision():
            given, restored, picture = self.validation(self.average)
        self.journal.checks.append(Check(self.iteration, given, restored))
        log.info("validation: %.2f dB, %+.2f over what was given", restored, restored - given)
        pictures = self.place.folder / "pictures"
        with writing(pictures):
            pictures.mkdir(exist_ok=True)
        with unfinished(pictures / f"{self.iteration:06}.png") as path:
            write_png(path, picture)

    def save(self) -> None:
        """Writes the averaged weights in half precision, the exact state, and the journal. Raises `ArgumentError`.

        What the constructor computes is left out of the weights: loading computes it again.
        """
        folder = self.place.folder
        values = self.average.state_dict().items()
        weights = {key: value.half().contiguous().cpu() for key, value in values if not key.endswith(CONSTANTS)}
        said = {key: str(value) for key, value in asdict(self.recipe).items()}
        threads = f"{self.place.device}, {torch.get_num_threads()} threads"
        metadata = said | self.facts | {"iteration": str(self.iteration), "device": threads, "torch": torch.__version__}
        with replacing(folder / WEIGHTS) as file:
            file.write(save(weights, metadata=metadata))
        with replacing(folder / STATE) as file:
            torch.save(self.state(), file)
        for name, text in (("log.csv", self.journal.log()), ("validation.csv", self.journal.validation())):
            with replacing(folder / name) as file:
                file.write(text.encode())
        if can_plot():
            with replacing(folder / "curves.png") as file:
                plot(self.journal, list(accumulate(phase.iterations for phase in self.recipe.phases)), file)
        self.saved = time.monotonic()

    def state(self) -> dict[str, Any]:
        """Everything that the next iteration depends on, and what it belongs to."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "log": self.journal.log(),
            "validation": self.journal.validation(),
            "iteration": self.iteration,
            "facts": self.facts,
            "recipe": asdict(self.recipe),
        }

    def load(self) -> None:
        """Continues exactly where `save` left off. Raises `ArgumentError` where that was another run."""
        state = read_state(self.place.folder / STATE, self.place.device, self.facts, self.recipe)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.journal.restore(state["log"], state["validation"])
        self.iteration = state["iteration"]
        log.info("continuing after iteration %d", self.iteration)
