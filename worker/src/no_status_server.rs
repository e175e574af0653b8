//! A worker program without the feature `admin`: it has no flag for it.

use crate::{Running, Settings};

pub(crate) fn serve(_settings: &Settings, _running: &Running, _is_patient: bool) -> Option<()> {
    None
}
