"""The parts of `benchmarks.bench_delivery`."""
