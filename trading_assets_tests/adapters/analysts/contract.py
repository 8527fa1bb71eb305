"""The promises in `Analyst`, as tests that every analyst runs."""

import numpy as np
import pandas as pd
import pytest

from trading_assets.adapters.analysts.port import Analyst, Briefings
from trading_assets.core.views import Views
from trading_assets.models.tables import SIGNALS


class AnalystContract:
    """Subclass, and provide an ``analyst`` and ``views`` that it can be asked about."""

    @pytest.fixture
    def analyst(self) -> Analyst:
        raise NotImplementedError

    @pytest.fixture
    def views(self) -> Views:
        raise NotImplementedError

    @pytest.fixture
    def signals(self, analyst: Analyst, views: Views) -> pd.DataFrame:
        return analyst.signals(Briefings("mine", views)).rows

    def test_there_is_one_row_per_briefing_in_their_order(
        self, signals: pd.DataFrame, views: Views
    ) -> None:
        assert signals["symbol"].tolist() == views.symbol.tolist()
        assert (signals["session"].to_numpy() == views.session).all()
        assert set(signals["strategy"]) == {"mine"}

    def test_rows_have_the_shape_of_signals(self, signals: pd.DataFrame) -> None:
        pd.testing.assert_frame_equal(SIGNALS.conform(signals), signals)

    def test_every_row_could_be_a_signal(self, signals: pd.DataFrame) -> None:
        plain = signals.astype(object).where(signals.notna(), None)

        for row in plain.to_dict("records"):
            SIGNALS.row.model_validate(row | {"session": row["session"].date()})

    def test_a_row_follows_from_its_own_briefing_alone(
        self, analyst: Analyst, views: Views, signals: pd.DataFrame
    ) -> None:
        for row in range(len(views)):
            alone = analyst.signals(Briefings("mine", views.take(np.array([row])))).rows
            pd.testing.assert_frame_equal(
                alone, signals.iloc[[row]].reset_index(drop=True), check_exact=True
            )

    def test_an_abstention_has_no_action_and_a_reason(self, signals: pd.DataFrame) -> None:
        silent = signals[signals["is_abstention"]]

        assert len(silent)
        assert silent[["action", "confidence", "confidence_score"]].isna().all(axis=None)
        assert silent["reasoning"].str.len().gt(0).all()

    def test_everything_else_has_an_action_and_a_confidence(
        self, signals: pd.DataFrame
    ) -> None:
        told = signals[~signals["is_abstention"]]

        assert set(told["action"]) <= {"BUY", "SELL", "HOLD"}
        assert set(told["confidence"]) <= {"HIGH", "MEDIUM", "LOW"}
        assert told["confidence_score"].between(0, 100).all()

    def test_two_briefings_never_share_a_hash(self, signals: pd.DataFrame) -> None:
        assert signals["inputs_hash"].is_unique

    def test_no_briefings_give_no_signals(self, analyst: Analyst, views: Views) -> None:
        nobody = views.take(np.array([], dtype=int))

        assert len(analyst.signals(Briefings("mine", nobody)).rows) == 0
