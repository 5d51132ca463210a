//! Benchmark suites: instances, runner, records, tables.
