"""What the statistics benchmarks measure, done by gbstats 0.8.0. Runs in an interpreter that has it.

Prints, as JSON, CPU microseconds of its Welch test of two arms, and of its sequential analysis of four arms and one
metric, from the rows that a warehouse query would give.
"""

import json
import statistics
import time

import pandas as pd
from gbstats.frequentist.tests import TwoSidedTTest
from gbstats.gbstats import process_analysis
from gbstats.models.settings import AnalysisSettingsForStatsEngine, MetricSettingsForStatsEngine
from gbstats.models.statistics import SampleMeanStatistic

ARMS = ("0", "1", "2", "3")


def microseconds(call, times=50):
    call()
    found = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(times):
            call()
        found.append((time.process_time() - started) / times)
    return 1e6 * statistics.median(found)


def main():
    control = SampleMeanStatistic(n=5000, sum=50000, sum_squares=545000)
    treatment = SampleMeanStatistic(n=5000, sum=50500, sum_squares=555000)
    metric = MetricSettingsForStatsEngine("m", "m", statistic_type="mean", main_metric_type="count")
    settings = AnalysisSettingsForStatsEngine(
        var_names=list(ARMS), var_ids=list(ARMS), weights=[0.25] * 4, stats_engine="frequentist",
        sequential_testing_enabled=True,
    )  # fmt: skip
    rows = pd.DataFrame(
        [
            {"dimension": "All", "variation": arm, "users": 5000, "count": 5000, "main_sum": 50000.0 + 1500 * number,
             "main_sum_squares": 545000.0 + 35000 * number}
            for number, arm in enumerate(ARMS)
        ]
    )  # fmt: skip
    places = {arm: number for number, arm in enumerate(ARMS)}
    result = process_analysis(rows, places, metric, settings)
    assert result.at[0, "v1_p_value"] < 1, "the peer analysed nothing"
    print(
        json.dumps(
            {
                "welch": microseconds(lambda: TwoSidedTTest(control, treatment).compute_result()),
                "analysis": microseconds(lambda: process_analysis(rows, places, metric, settings)),
            }
        )
    )


if __name__ == "__main__":
    main()
