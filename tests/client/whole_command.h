// Runs a command from its arguments to its end within the test's process, and captures its output and exit status.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/cli/commands.h"

namespace millrace::cli {

struct Ended {
  int exit = -1;
  std::string out;
  std::string err;
};

inline Ended RunWhole(std::vector<std::string> arguments) {
  Session session;
  Ended ended;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  ended.exit = RunCommand(session, std::move(arguments));
  ended.out = testing::internal::GetCapturedStdout();
  ended.err = testing::internal::GetCapturedStderr();
  return ended;
}

}  // namespace millrace::cli
