// Files of a server that no run may touch, and what it says about its file descriptors.
#include "server/process/own_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/config/server_config.h"
#include "server/process/descriptor_needs.h"

namespace millrace {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(OwnFilesTest, TheStoreTheConfigurationAndAllThatItNamesAreAServersOwn) {
  v1::ServerConfig config;
  config.set_data_dir("/var/lib/millrace");
  v1::BackendConfig& openai = *config.add_backends();
  openai.mutable_openai()->mutable_api_key()->set_file("keys/openai.txt");
  v1::BackendConfig& simulated = *config.add_backends();
  simulated.mutable_simulated()->set_profile_file("/etc/profile.yaml");
  const auto variable = [](const std::string& name) -> std::optional<std::string> {
    if (name == "HOME") return "/somebody";
    if (name == "OTEL_EXPORTER_OTLP_CLIENT_KEY") return "/etc/client.pem";
    return std::nullopt;
  };
  std::vector<std::string> paths;
  std::vector<std::string> directories;
  for (const ProtectedFile& file : OwnFiles(config, "conf/server.yaml", "conf", variable)) {
    (file.is_directory ? directories : paths).push_back(file.path);
    EXPECT_NE(file.what, "");
  }
  EXPECT_THAT(paths, ElementsAre("millrace.yaml", "conf/server.yaml", "conf/keys/openai.txt", "/etc/profile.yaml",
                                 "/etc/client.pem", "/somebody/.aws/credentials", "/somebody/.aws/config"));
  EXPECT_THAT(directories, ElementsAre("/var/lib/millrace", ".millrace"));
}

TEST(DescriptorNeedsTest, AWarningHasTheNumbersAndTheRemedy) {
  v1::ServerConfig config = BuiltinServerConfig();
  config.mutable_limits()->set_max_connections(4);
  EXPECT_THAT(FindDescriptorNeeds(config, 1024), IsEmpty());
  v1::ModelConfig& model = *config.add_models();
  for (const char* name : {"a", "b"}) {
    v1::TargetConfig& target = *model.add_targets();
    target.set_backend(name);
    target.mutable_limits()->mutable_max_concurrency()->set_slots(1500);
  }
  *config.add_models() = model;  // another alias of the same targets takes no more
  const std::vector<std::string> needs = FindDescriptorNeeds(config, 1024);
  ASSERT_EQ(needs.size(), 1u);
  EXPECT_THAT(needs[0], HasSubstr("asks for 3008 calls in flight at providers, but the limit of 1024 open files leaves "
                                  "384: other calls wait"));
  EXPECT_THAT(needs[0], HasSubstr("ulimit -n 65536"));
  EXPECT_THAT(FindDescriptorNeeds(config, 65536), IsEmpty());
}

}  // namespace
}  // namespace millrace
