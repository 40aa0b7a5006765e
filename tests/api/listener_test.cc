#include "server/api/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

namespace millrace::api {
namespace {

using ::testing::HasSubstr;

class ListenerTest : public testing::Test {
 protected:
  ListenerTest() {
    std::string name = testing::TempDir() + "listener-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~ListenerTest() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path Socket() const { return directory_ / kSocketName; }

  std::filesystem::path directory_;
};

TEST_F(ListenerTest, OnlyLoopbackAddressesAreAccepted) {
  EXPECT_TRUE(Listener::Tcp("127.0.0.1:0").ok());
  EXPECT_TRUE(Listener::Tcp("localhost:0").ok());
  for (const char* address : {"0.0.0.0:0", "[::]:0", "10.0.0.1:7400", "8.8.8.8:1", ":7400", "127.0.0.1",
                              "127.0.0.1:", "127.0.0.1:99999x", "example.com:7400", "[::ffff:10.0.0.1]:1", ""}) {
    const StatusOr<Listener> listener = Listener::Tcp(address);
    ASSERT_FALSE(listener.ok()) << address;
    EXPECT_EQ(ReasonOf(listener.status()), Reason::kInvalidField) << address;
  }
}

TEST_F(ListenerTest, ASecondListenerOnAPortIsRefused) {
  const StatusOr<Listener> first = Listener::Tcp("127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const StatusOr<Listener> second = Listener::Tcp("127.0.0.1:" + std::to_string(first->port()));
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(MessageOf(second.status()), HasSubstr("in use"));
}

TEST_F(ListenerTest, TheSocketIsForItsUserOnlyAndGoesWithItsListener) {
  {
    const StatusOr<Listener> listener = Listener::Unix(directory_);
    ASSERT_TRUE(listener.ok()) << listener.status();
    struct stat there {};
    ASSERT_EQ(lstat(Socket().c_str(), &there), 0);
    EXPECT_TRUE(S_ISSOCK(there.st_mode));
    EXPECT_EQ(there.st_mode & 0777, 0600u);
  }
  EXPECT_FALSE(std::filesystem::exists(Socket()));
}

TEST_F(ListenerTest, AStaleSocketIsReplaced) {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, Socket().c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(fd);
  ASSERT_TRUE(std::filesystem::exists(Socket()));
  EXPECT_TRUE(Listener::Unix(directory_).ok());
}

TEST_F(ListenerTest, AFileInTheSocketsPlaceIsLeftAlone) {
  std::ofstream(Socket()) << "mine";
  EXPECT_FALSE(Listener::Unix(directory_).ok());
  EXPECT_TRUE(std::filesystem::exists(Socket()));
}

TEST_F(ListenerTest, AnotherListenersSocketIsNotRemoved) {
  std::optional<Listener> first(std::move(*Listener::Unix(directory_)));
  const StatusOr<Listener> second = Listener::Unix(directory_);
  ASSERT_TRUE(second.ok());
  first.reset();
  EXPECT_TRUE(std::filesystem::exists(Socket()));
}

TEST_F(ListenerTest, ALongPathIsAccepted) {
  directory_ /= std::string(150, 'd');
  std::filesystem::create_directory(directory_);
  EXPECT_TRUE(Listener::Unix(directory_).ok());
}

}  // namespace
}  // namespace millrace::api
