//! stub
use std::time::{Duration, Instant};
#[derive(Debug)] #[allow(missing_docs)]
pub struct Resends;
#[allow(missing_docs)]
pub enum Verdict { Send, JustSent, OverBudget }
#[allow(missing_docs)]
impl Resends { pub fn new() -> Self { Self } pub fn sent(&mut self, _: usize) {} pub fn admit(&mut self, _: Instant, _: u64, _: usize, _: Option<Duration>) -> Verdict { Verdict::Send } }
