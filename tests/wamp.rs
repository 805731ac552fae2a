//! WAMP's Basic Profile on the wire, as a client sees it that takes nobody's word.

mod bounds;
mod calls;
mod deep;
mod events;
mod options;
mod permissions;
mod sessions;
mod slow;
mod violations;
