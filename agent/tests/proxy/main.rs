//! The front and the proxy together: real TCP in front, a recording app on a Unix socket behind.

#[cfg(test)]
mod access;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod smuggling;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod traffic;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod websockets;
