//! What a search says of itself: the words that adopting fills in and the page translates.

/// All that is said of a search, with what stands for each `{}`: the page translates it.
pub const SAID: [&str; 8] =
    [SECONDARY, ONLY, PRIMARY, AT_ONE_ADDRESS, AT_ONE_IDENTITY, SHARED_IDENTITY, NO_DATA, NEVER_QUIET];

pub(crate) const SECONDARY: &str = "looking at {} baud for secondary addresses";
pub(crate) const ONLY: &str = "looking at {} baud for a meter that is alone";
pub(crate) const PRIMARY: &str = "looking at {} baud at primary addresses";
pub(crate) const AT_ONE_ADDRESS: &str = "several meters answer at address {}, or the line is noisy: connect them \
    one at a time, give each an address of its own with `mbushat meter set-address`, then scan again";
pub(crate) const AT_ONE_IDENTITY: &str = "several meters answer to {} and cannot be told apart, or the line is \
    noisy: connect them one at a time, give each a primary address of its own with `mbushat meter set-address`, \
    then scan again";
pub(crate) const SHARED_IDENTITY: &str = "several meters say that they are {}: connect them one at a time, give \
    each a primary address of its own with `mbushat meter set-address`, then scan again";
pub(crate) const NO_DATA: &str = "a meter at {} acknowledges but gives no data: `mbushat read {} --wire` shows \
    what it answers; it may need to be woken or reset first";
pub(crate) const NEVER_QUIET: &str = "the line never falls silent, so no meter can be looked for (the agent tries \
    again every ten minutes): something on the wire talks without end, a damaged meter or a short: unplug one \
    half of the bus, then half of the half that talks, until one device is left";
