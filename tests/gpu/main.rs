//! GPUs that are not there: what stationd makes of everything that NVIDIA's driver may answer.

#[cfg(test)]
mod calls;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod real;
#[cfg(test)]
mod scenarios;
