//! The way to a host, which may break and be made again.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::host::{Destination, Ended, Host, HostError, NewHostKey, Passwords, SshOptions, Way};

/// A host and what it takes to reach it again.
#[derive(Debug)]
pub struct Link {
    destination: Destination,
    options: SshOptions,
    passwords: Arc<Passwords>,
    way: RefCell<Option<Rc<Way>>>,
    host: Option<Host>,
    new_key: Option<NewHostKey>,
}

impl Link {
    /// A link that is made when it is first needed.
    pub fn new(destination: Destination, options: SshOptions, passwords: Arc<Passwords>) -> Self {
        Self { destination, options, passwords, way: RefCell::default(), host: None, new_key: None }
    }

    /// The host as it was named on the command line.
    pub fn name(&self) -> String {
        self.destination.to_string()
    }

    /// Whether the host is this very machine.
    pub fn is_local(&self) -> bool {
        self.destination == Destination::Local
    }

    /// Whether Vagrant knows how it is reached.
    pub fn is_vagrant(&self) -> bool {
        matches!(self.destination, Destination::Vagrant(_))
    }

    /// Where sudo's password comes from.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// The way to the host, found when it is first needed.
    pub async fn way(&self) -> Result<Rc<Way>, HostError> {
        if let Some(way) = &*self.way.borrow() {
            return Ok(Rc::clone(way));
        }
        self.find().await
    }

    async fn find(&self) -> Result<Rc<Way>, HostError> {
        let way = Rc::new(Way::find(&self.destination, &self.options).await?);
        self.way.replace(Some(Rc::clone(&way)));
        Ok(way)
    }

    /// A machine of Vagrant's that is started again may be elsewhere: it is asked for again
    /// where nobody answers any more. That takes seconds, so never for nothing.
    async fn make(&self) -> Result<(Host, Option<NewHostKey>), HostError> {
        let is_new = self.way.borrow().is_none();
        let way = self.way().await?;
        match Host::connect(&way).await {
            Err(HostError::Unreachable { .. }) if way.is_vagrant() && !is_new => {
                Host::connect(&*self.find().await?).await
            }
            made => made,
        }
    }

    /// Connects unless it is connected.
    pub async fn connect(&mut self) -> Result<(), HostError> {
        if self.host.is_none() {
            let (host, key) = self.make().await?;
            self.host = Some(host);
            self.new_key = self.new_key.take().or(key);
        }
        Ok(())
    }

    /// The connected host.
    pub fn host(&self) -> Result<&Host, HostError> {
        self.host
            .as_ref()
            .ok_or_else(|| HostError::Lost { host: self.name(), reason: "not connected".into() })
    }

    /// Runs a program over a connection of its own, beside the one that stands: that a new
    /// one succeeds is what it proves.
    pub async fn exec_anew(&self, program: &[u8]) -> Result<Ended, HostError> {
        let (host, _) = Host::connect(&*self.way().await?).await?;
        let ended = host.exec(program, &self.passwords, &mut |_| {}).await;
        host.close().await;
        ended
    }

    /// Makes the connection anew.
    pub async fn reconnect(&mut self) -> Result<(), HostError> {
        if let Some(host) = self.host.take() {
            host.close().await;
        }
        self.connect().await
    }

    /// A host key that was accepted for the first time, told once.
    pub fn take_new_key(&mut self) -> Option<NewHostKey> {
        self.new_key.take()
    }

    /// Closes the connection.
    pub async fn close(&mut self) {
        if let Some(host) = self.host.take() {
            host.close().await;
        }
    }
}
