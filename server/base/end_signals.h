// Signals that ask a program to end.
#pragma once

#include <signal.h>

namespace millrace {

// Returns SIGINT, SIGTERM and SIGHUP, which comes when the terminal or the connection closes; without SIGHUP if the
// program was started by `nohup`, which ignores it.
inline sigset_t EndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  struct sigaction present {};
  if (::sigaction(SIGHUP, nullptr, &present) != 0 || present.sa_handler != SIG_IGN) sigaddset(&signals, SIGHUP);
  return signals;
}

}  // namespace millrace
