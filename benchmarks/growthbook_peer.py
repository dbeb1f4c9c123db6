"""What `bench_assignment` measures, done by GrowthBook's Python SDK. Runs in an interpreter that has ``growthbook``.

One feature with one experiment rule: three arms, a namespace, a condition on an attribute. Prints evaluations per
second of CPU. The rule is parsed once; a user's attributes are set for each evaluation, as its documentation shows.
"""

import statistics
import time

from growthbook import GrowthBook

UNITS = [f"user-{number}" for number in range(5_000)]
RULE = {
    "key": "experiment-0",
    "variations": ["a", "b", "c"],
    "weights": [0.5, 0.3, 0.2],
    "coverage": 1.0,
    "hashAttribute": "id",
    "hashVersion": 2,
    "namespace": ["layer-0", 0.0, 0.95],
    "condition": {"country": {"$in": ["nl", "de", "fr"]}},
}


def main() -> None:
    sdk = GrowthBook(attributes={}, features={"flag": {"defaultValue": "off", "rules": [RULE]}})
    rates, given = [], set()
    for _ in range(6):
        started = time.process_time()
        for unit in UNITS:
            sdk.set_attributes({"id": unit, "country": "nl"})
            given.add(sdk.eval_feature("flag").value)
        rates.append(len(UNITS) / (time.process_time() - started))
    assert {"a", "b", "c"} <= given, "the experiment is not entered"
    print(statistics.median(rates[1:]))


if __name__ == "__main__":
    main()
