#include "client/cli/output_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <iostream>
#include <ostream>
#include <thread>

#include "client/cli/output.h"
#include "millrace/v1/run_service.pb.h"

namespace millrace::cli {
namespace {

using testing::HasSubstr;

TEST(OutputFileTest, WritesAllAndReportsNothing) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const std::string text(300'000, 'x');  // more than the pipe and the buffer hold
  std::string read;
  std::thread reader([&] {
    char part[4096];
    for (ssize_t got = 0; (got = ::read(ends[0], part, sizeof part)) > 0;) read.append(part, static_cast<size_t>(got));
  });
  OutputFile file(ends[1]);
  std::ostream out(&file);
  out << "a\n" << text << 'b' << std::flush << "c";
  EXPECT_TRUE(file.Close().ok());
  reader.join();
  ::close(ends[0]);
  EXPECT_EQ(read, "a\n" + text + "bc");
}

TEST(OutputFileTest, AFullDiskMakesTheStreamBadAndIsReported) {
  OutputFile file(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  std::ostream out(&file);
  out << "kept in the buffer";
  EXPECT_TRUE(out.good());
  out << std::flush;
  EXPECT_TRUE(out.bad());
  out.clear();
  out << "more";
  EXPECT_TRUE(out.bad()) << "the output has a hole";
  const Status status = file.Close();
  EXPECT_EQ(ReasonOf(status), Reason::kFileError);
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("No space left on device"));
  EXPECT_FALSE(file.reader_left());
}

TEST(OutputFileTest, AReaderThatHasLeftIsKnown) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ::close(ends[0]);
  ::signal(SIGPIPE, SIG_IGN);
  OutputFile file(ends[1]);
  std::ostream out(&file);
  out << "x";
  EXPECT_FALSE(file.Close().ok());
  EXPECT_TRUE(file.reader_left());
}

TEST(PrintJsonTest, AMessageWithoutJsonFailsTheCommand) {
  v1::ListRunsResponse response;
  response.add_runs()->mutable_as_of()->set_seconds(1'767'225'600'000);  // milliseconds
  testing::internal::CaptureStderr();
  PrintJson(response);
  EXPECT_TRUE(std::cout.fail());
  std::cout.clear();
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("can't be printed as JSON"));
}

}  // namespace
}  // namespace millrace::cli
