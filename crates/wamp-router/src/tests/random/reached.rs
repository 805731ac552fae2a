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
    granted: u64,
    denied: u64,
    unanswered: u64,
    behind: u64,
    left: u64,
    full: u64,
    asked: u64,
    allowed: u64,
    known: u64,
    failed: u64,
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
        self.granted += world.waits.granted;
        self.denied += world.waits.denied;
        self.unanswered += world.waits.unanswered;
        self.behind += world.waits.behind;
        self.left += world.waits.left;
        self.full += world.waits.full;
        self.asked += world.asked.asked;
        self.allowed += world.asked.allowed;
        self.known += world.asked.known;
        self.failed += world.asked.failed;
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
            && enough(self.shared)
            && self.clearing > 150
            && self.restricted > 200
            && enough(self.granted)
            && enough(self.behind)
            && self.denied > 150
            && self.unanswered > 100
            && self.left > 100
            && self.asked > 2_000
            && self.allowed > 800
            && self.failed > 800
            && self.known > 200
            && self.full > 50
            && self.too_deep > 50
    }
}
