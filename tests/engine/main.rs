//! The storage engine: against a model, at crash points, damaged, under many threads, at its limits.

mod concurrency;
mod corruption;
mod crash_points;
mod limits;
mod model;
mod open;
mod repair;
mod selection;
mod speed;
mod support;
