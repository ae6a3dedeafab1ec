//! What stationd promises, tried on the real binaries; SPECIFICATION.md names the tests.

#[cfg(test)]
mod access;
#[cfg(test)]
mod api;
#[cfg(test)]
mod apps;
#[cfg(test)]
mod jupyter;
#[cfg(test)]
mod login;
#[cfg(test)]
mod share;
#[cfg(test)]
mod startup;
#[cfg(test)]
mod transfer;
