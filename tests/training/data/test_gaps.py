import numpy as np

from msm.training.data.gaps import fill_gaps, season_means
from msm.training.data.uscrn import DailyRecord


def test_the_seasonal_mean_is_periodic():
    days = np.arange("2012-01-01", "2020-01-01", dtype="datetime64[D]")
    # The slope is steepest at the turn of the year.
    swing = np.sin(2 * np.pi * np.arange(days.size) / 365.25)
    values = (10 + 8 * swing)[None].astype(np.float32)
    # A window of 31 days takes 1.2 % off the swing of a year; leap days shift it by one day.
    np.testing.assert_allclose(season_means(values, days), values, atol=0.2)
    half_years = values.copy()
    half_years[0, swing > 0] = np.nan
    found = season_means(half_years, days)
    # In the half of the year without any value, on the line between the means at its two ends.
    np.testing.assert_allclose(found[0, swing > 0], 10, atol=1.2)


def test_gaps_are_filled_station_by_station():
    days = np.arange("2015-01-01", "2015-01-09", dtype="datetime64[D]")
    values = np.array([[1, np.nan, 3, 3, 3, 3, 3, 3], [9] * 8], np.float32)
    filled, gaps = fill_gaps(values, days, bridge=True)
    np.testing.assert_array_equal(filled, [[1, 2, 3, 3, 3, 3, 3, 3], [9] * 8])
    assert np.argwhere(gaps["interpolated"]).tolist() == [[0, 1]]


def test_the_seasonal_mean_restores_withheld_rain_best(real_record: DailyRecord):
    rain = real_record.values["precipitation_mm"]
    rng = np.random.default_rng(1)
    starts = np.arange(100, 5000, 50) + rng.integers(0, 40, (len(rain), 98))
    three = starts[..., None] + np.arange(3)
    station = np.arange(len(rain))[:, None]
    withheld = rain.copy()
    withheld[station[..., None], three] = np.nan
    truth = rain[station[..., None], three].sum(axis=-1)
    whole = np.isfinite(truth) & np.isfinite(rain[station, starts - 1] + rain[station, starts + 3])
    error = {"nothing": truth[whole]}
    for name, bridge in {"season": False, "neighbours": True}.items():
        filled, _ = fill_gaps(withheld, real_record.days, bridge)
        error[name] = (filled[station[..., None], three].sum(axis=-1) - truth)[whole]
    rmse = {name: np.sqrt(np.mean(np.square(values))) for name, values in error.items()}
    assert rmse["season"] < rmse["nothing"] < rmse["neighbours"]
    assert abs(error["season"].mean()) < 0.3 < error["nothing"].mean()
