// Ownership of a data directory, and connections to the process that holds it.
#include "client/lib/holder.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "client/lib/client.h"
#include "server/config/server_config.h"
#include "server/process/coordinator.h"

namespace millrace::client {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class HolderTest : public testing::Test {
 protected:
  HolderTest() : directory_(testing::TempDir() + "holder-XXXXXX") {
    EXPECT_NE(::mkdtemp(directory_.data()), nullptr);
    data_dir_ = directory_ + "/data";
  }
  ~HolderTest() override { fs::remove_all(directory_); }

  static bool Answers(const std::string& target) {
    const StatusOr<v1::GetStatusResponse> status = Client::Dial(target)->GetStatus({});
    EXPECT_TRUE(status.ok()) << status.status();
    return status.ok();
  }

  std::string directory_;
  std::string data_dir_;
};

TEST_F(HolderTest, TheFirstHoldsTheStoreAndTheSecondUsesItsSocket) {
  const StatusOr<std::unique_ptr<Holder>> first = Holder::Open(data_dir_, "");
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE((*first)->own());
  EXPECT_THAT((*first)->description(), HasSubstr("is held by this command, with the built-in configuration"));
  const StatusOr<std::unique_ptr<Holder>> second = Holder::Open(data_dir_, "");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_FALSE((*second)->own());
  EXPECT_THAT((*second)->description(), HasSubstr("is held by another process: using its socket"));
  EXPECT_TRUE(Answers((*first)->target()));
  EXPECT_TRUE(Answers((*second)->target()));
}

TEST_F(HolderTest, OneOfManyHoldsTheStoreAndAllConnect) {
  constexpr int kMany = 4;
  std::vector<StatusOr<std::unique_ptr<Holder>>> holders;
  for (int i = 0; i < kMany; ++i) holders.emplace_back(absl::UnknownError("not tried"));
  std::vector<std::thread> threads;
  for (int i = 0; i < kMany; ++i) {
    threads.emplace_back([this, &holder = holders[static_cast<size_t>(i)]] { holder = Holder::Open(data_dir_, ""); });
  }
  for (std::thread& thread : threads) thread.join();
  int own = 0;
  for (const StatusOr<std::unique_ptr<Holder>>& holder : holders) {
    ASSERT_TRUE(holder.ok()) << holder.status();
    own += (*holder)->own();
    EXPECT_TRUE(Answers((*holder)->target()));
  }
  EXPECT_EQ(own, 1);
}

TEST_F(HolderTest, ReportsErrorsOfItsConfiguration) {
  const std::string config = directory_ + "/wrong.yaml";
  std::ofstream(config) << "backend: []\n";
  const Status status = Holder::Open(data_dir_, config).status();
  EXPECT_EQ(ReasonOf(status), Reason::kInvalidDefinition);
  EXPECT_THAT(status.ToString(), HasSubstr("did you mean \\\"backends\\\""));
  EXPECT_FALSE(fs::exists(data_dir_));
  EXPECT_EQ(ConfigPath(config), config);
}

TEST_F(HolderTest, TheConfigurationNamesTheDataDirectoryUnlessAnOptionDoes) {
  const std::string config = directory_ + "/own.yaml";
  std::ofstream(config) << "data_dir: " << directory_ << "/named\n"
                        << "backends: [{name: here, local: {}}]\n"
                        << "models: [{name: local, targets: [{backend: here, model: local}]}]\n";
  const StatusOr<std::unique_ptr<Holder>> named = Holder::Open("", config);
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_THAT((*named)->description(), HasSubstr(directory_ + "/named is held by this command"));
  EXPECT_TRUE(fs::exists(directory_ + "/named"));
  EXPECT_EQ(*DataDirOf(data_dir_, config), data_dir_);
  EXPECT_EQ(*DataDirOf("", ""), ".millrace");
}

TEST_F(HolderTest, NamesADataDirectoryThatCanNotBeUsed) {
  const std::string file = directory_ + "/file";
  std::ofstream(file) << "x";
  for (const std::string& path : {file, file + "/data"}) {
    const Status status = Holder::Open(path, "").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_EQ(ReasonOf(status), Reason::kDataDirUnusable);
    EXPECT_THAT(status.ToString(), HasSubstr(path + ": the store's directory can't be "));
    EXPECT_THAT(status.ToString(), HasSubstr("Not a directory"));
  }
}

// Proxies named by the environment must not be used between a client and a server.
TEST_F(HolderTest, AClientIgnoresProxies) {
  CoordinatorOptions options;
  options.config = BuiltinServerConfig();
  options.config.set_data_dir(data_dir_);
  options.config.mutable_grpc()->set_address("127.0.0.1:0");
  const StatusOr<std::unique_ptr<Coordinator>> server = Coordinator::Start(std::move(options));
  ASSERT_TRUE(server.ok()) << server.status();
  for (const char* name : {"http_proxy", "https_proxy", "grpc_proxy"}) ::setenv(name, "http://127.0.0.1:1", 1);
  EXPECT_TRUE(Answers("127.0.0.1:" + std::to_string((*server)->port())));
  for (const char* name : {"http_proxy", "https_proxy", "grpc_proxy"}) ::unsetenv(name);
}

TEST_F(HolderTest, ErrorsOfAServerKeepTheirReason) {
  const StatusOr<std::unique_ptr<Holder>> holder = Holder::Open(data_dir_, "");
  ASSERT_TRUE(holder.ok()) << holder.status();
  const std::unique_ptr<Client> client = Client::Dial((*holder)->target());
  v1::GetRunRequest request;
  request.set_run("r-none");
  const Status status = client->GetRun(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(status), Reason::kRunNotFound);
  client->Interrupt();
  EXPECT_EQ(client->GetRun(request).status().code(), absl::StatusCode::kCancelled);
  client->Reset();
  EXPECT_EQ(ReasonOf(client->GetRun(request).status()), Reason::kRunNotFound);
}

TEST(ClientTest, AMissingServerIsUnavailable) {
  EXPECT_EQ(Client::Dial("127.0.0.1:1")->GetStatus({}).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace millrace::client
