//! Responses: answers of handlers, their bodies, caching, conditions, ranges and problems.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod cache;
pub(crate) mod conditions;
pub(crate) mod downloads;
pub(crate) mod problem;
pub(crate) mod problem_page;
pub(crate) mod range;
