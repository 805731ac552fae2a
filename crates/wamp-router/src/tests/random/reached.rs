//! How often the random operations have reached what they are to test.

use super::World;
use crate::Stats;

#[derive(Default, Debug)]
pub(super) struct Reached {
    results: u64,
    events: u64,
    cancels: u64,
    timeouts: u64,
    interrupts: u64,
    turns: u64,
    too_deep: u64,
    parts: u64,
    taken_over: u64,
    restricted: u64,
    shared: u64,
    clearing: u64,
}

impl Reached {
    pub(super) fn add(&mut self, world: &World) {
        let Stats {
            results,
            events,
            cancels,
            timeouts,
            ..
        } = world.router.stats();
        self.results += results;
        self.events += events;
        self.cancels += cancels;
        self.timeouts += timeouts;
        self.interrupts += world.interrupts;
        self.turns += world.turns;
        self.too_deep += world.too_deep;
        self.parts += world.parts;
        self.taken_over += world.taken_over;
        self.restricted += world.restricted;
        self.shared += world.shared;
        self.clearing += world.clearing;
    }

    pub(super) fn is_enough(&self) -> bool {
        let enough = |reached: u64| reached > 400;
        self.results > 800
            && self.events > 2_000
            && enough(self.cancels)
            && enough(self.timeouts)
            && enough(self.interrupts)
            && enough(self.turns)
            && enough(self.parts)
            && enough(self.taken_over)
            && enough(self.restricted)
            && enough(self.shared)
            && self.clearing > 200
            && self.too_deep > 50
    }
}
