"""Training of a child that models language, as a plain value (imports no Keras)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nas.errors import InputError
from nas.spaces import Architecture, Cost
from nas.training.recipe import Recipe

if TYPE_CHECKING:
    from nas.datasets import Prepared

OPTIMIZERS = ("sgd", "adam")
RATES = ("dropout_embedding", "dropout_input", "dropout_recurrent", "dropout_output")


@dataclass(frozen=True)
class LanguageRecipe(Recipe):
    """Training of one language model: an embedding, layers of a recurrent cell, a softmax over the tokens.

    Source: Zoph & Le (2017), §4.2 and appendix B: 2 layers of the cell, as many units as a parameter
    budget allows, 35 epochs, with dropout of the embedding and of the recurrent state (Gal & Ghahramani
    2016). The paper gives neither learning rate nor batch size, window, clipping or rates of dropout: the
    defaults are those of the medium LSTM of Zaremba et al. (2014, §4.1), whose size the paper compares
    with (batches of 20, windows of 35 steps, learning rate 1, clipping at 5, divided by 1.2 after each
    epoch from the seventh on, weights begin within ±0.05, dropout 0.5), and 0.2 for embedding and state.

    The training text is cut into `streams` pieces that are read side by side, `window` tokens at a time.
    The state is carried over from window to window, without the gradient, and is zero where an epoch
    begins. Every token of a split is predicted once in an epoch, the last, incomplete window included.

    The loss of a window is the mean over streams of the sum over its steps of −ln p(token), as in
    Zaremba's code, so that `learning_rate` and `clip_norm` have the sizes known from there.

    Attributes:
        epochs: passes over the training text.
        layers: recurrent layers, each fed by the one before it.
        parameters: of the whole model; the units are as many as fit into it, whatever the cell.
        units: of each layer and of the embedding, instead of a budget of `parameters`.
        tied: the softmax uses the embedding's matrix (Press & Wolf 2017; the paper's "shared embeddings").
        streams: pieces of text in a step (the batch size).
        window: time steps of truncated back-propagation.
        validation_streams: pieces into which the validation text is cut after each epoch; each but the
            first begins with a zero state in the middle of the text. Tests use one.
        optimizer: `sgd` or `adam`.
        learning_rate: of the first epochs.
        decay_after: epochs that use the whole learning rate.
        decay: each later epoch multiplies it by this.
        clip_norm: the gradient's norm over all weights is at most this.
        weight_decay: each step also takes `learning_rate · weight_decay · w` from every weight.
        init_scale: weights begin uniformly in ± this.
        dropout_embedding: rate at which tokens of the vocabulary are dropped, wherever they occur in a
            window of any stream (Gal & Ghahramani 2016, §4.2).
        dropout_input: rate for the input of each layer.
        dropout_recurrent: rate for h_{t−1} wherever it enters a cell.
        dropout_output: rate for the input of the softmax. These three masks are drawn for each stream and
            unit and stay the same over a window ("variational" dropout).
        train_tokens: train on the first tokens only; None: all.
        median_stopping: stop a child whose lowest validation perplexity so far is above the median of what
            the children of earlier rounds had at the same epoch (see `Recipe.stops_at_median`, which also
            tells how this differs from the rule of Vizier).
        grace_epochs: no child is stopped by this rule before it has finished this many epochs.
    """

    trainer: ClassVar[str] = "nas.training.language:train"
    tester: ClassVar[str] = "nas.training.language_serving:measure"
    exporter: ClassVar[str] = "nas.training.language_export:export"
    metrics: ClassVar[tuple[str, ...]] = (
        "loss",
        "perplexity",
        "val_loss",
        "val_perplexity",
        "val_bits_per_character",
    )
    watched: ClassVar[str] = "val_perplexity"
    lower_is_better: ClassVar[bool] = True

    epochs: int = 35
    layers: int = 2
    parameters: int = 20_000_000
    units: int | None = None
    tied: bool = False
    streams: int = 20
    window: int = 35
    validation_streams: int = 20
    optimizer: str = "sgd"
    learning_rate: float = 1.0
    decay_after: int = 6
    decay: float = 1 / 1.2
    clip_norm: float = 5.0
    weight_decay: float = 0.0
    init_scale: float = 0.05
    dropout_embedding: float = 0.2
    dropout_input: float = 0.5
    dropout_recurrent: float = 0.2
    dropout_output: float = 0.5
    train_tokens: int | None = None

    def __post_init__(self) -> None:
        self._whole("epochs", "layers", "parameters", "streams", "window", "validation_streams")
        self._whole("grace_epochs", "decay_after", least=0)
        for name in ("units", "train_tokens"):
            if getattr(self, name) is not None:
                self._whole(name)
        for name in ("learning_rate", "clip_norm", "init_scale"):
            self._number(name, above=0.0)
        self._number("decay", above=0.0, most=1.0)
        self._number("weight_decay", least=0.0)
        for name in RATES:
            self._number(name, least=0.0, below=1.0)
        self._truth("tied", "median_stopping")
        self._one_of("optimizer", OPTIMIZERS)

    def learning_rate_at(self, epoch: int) -> float:
        """The learning rate of epoch `epoch` (from 0).

        Example:
            >>> recipe = LanguageRecipe(learning_rate=1.0, decay_after=2, decay=0.5)
            >>> [recipe.learning_rate_at(epoch) for epoch in range(4)]
            [1.0, 1.0, 0.5, 0.25]
        """
        return self.learning_rate * self.decay ** max(0, epoch + 1 - self.decay_after)

    def units_of(self, architecture: Architecture, vocabulary: int) -> int:
        """Units of each layer: those of the recipe, or the most that the budget of parameters allows.

        Args:
            architecture: the cell.
            vocabulary: number of tokens.

        Raises:
            InputError: not even one unit fits.
        """
        if self.units is not None:
            return self.units
        if self.model_cost(architecture, vocabulary, 1).parameters > self.parameters:
            least = self.model_cost(architecture, vocabulary, 1).parameters
            raise InputError(
                f"parameters (={self.parameters:,}) must allow one unit, which takes {least:,} with a "
                f"vocabulary of {vocabulary:,} tokens: raise it, or limit the data's vocabulary"
            )
        fits, too_many = 1, 2
        while self.model_cost(architecture, vocabulary, too_many).parameters <= self.parameters:
            fits, too_many = too_many, 2 * too_many
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if self.model_cost(architecture, vocabulary, middle).parameters <= self.parameters:
                fits = middle
            else:
                too_many = middle
        return fits

    def model_cost(self, architecture: Architecture, vocabulary: int, units: int) -> Cost:
        """Size of the whole model; multiply-adds are those of one token (looking one up costs none)."""
        cell = architecture.cost((units,), units)
        matrix = vocabulary * units
        return Cost(
            matrix + self.layers * cell.parameters + (0 if self.tied else matrix) + vocabulary,
            self.layers * cell.multiply_adds + matrix,
        )

    def shapes(self, architecture: Architecture, data: Prepared) -> tuple[tuple[int, ...], int]:
        """The cell's input at one time step, `(units,)`, and its units."""
        units = self.units_of(architecture, self._vocabulary(data))
        return (units,), units

    def cost(self, architecture: Architecture, data: Prepared) -> Cost:
        vocabulary = self._vocabulary(data)
        return self.model_cost(architecture, vocabulary, self.units_of(architecture, vocabulary))

    def _vocabulary(self, data: Prepared) -> int:
        from nas.datasets import PreparedText

        if not isinstance(data, PreparedText):
            raise InputError(f"the recipe 'language' needs a data set of text; {data.name} holds {data.kind}")
        return len(data.vocabulary)
