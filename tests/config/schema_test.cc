#include "server/config/schema.h"

#include <gmock/gmock.h>

#include <boost/json.hpp>

#include "millrace/v1/server_config.pb.h"
#include "server/base/json.h"
#include "server/text/schema.h"
#include "tests/config/support.h"

namespace millrace {
namespace {

using testing::HasSubstr;

Schema Compiled(const std::string& text) {
  const StatusOr<Schema> schema = Schema::Parse(text);
  EXPECT_TRUE(schema.ok()) << schema.status();
  return *schema;
}

Status CheckYaml(const Schema& schema, std::string_view yaml) {
  const StatusOr<YamlNode> tree = ReadYaml(yaml, "f");
  if (!tree.ok()) return tree.status();
  const StatusOr<json::value> value = ParseJson(JsonOf(*tree));
  if (!value.ok()) return value.status();
  return schema.Check(*value);
}

TEST(SchemaTest, AcceptsThePipelinesThatTheReaderAccepts) {
  const Schema schema = Compiled(PipelineSchema());
  EXPECT_EQ(CheckYaml(schema, ReadFile("tests/config/data/news.yaml")), absl::OkStatus());
  for (const auto& entry : std::filesystem::directory_iterator("configs/pipelines")) {
    if (entry.path().extension() != ".yaml") continue;
    EXPECT_EQ(CheckYaml(schema, ReadFile(entry.path())), absl::OkStatus()) << entry.path();
  }
}

TEST(SchemaTest, RefusesWhatAnEditorShouldUnderline) {
  const Schema schema = Compiled(PipelineSchema());
  const std::string good = "prepare: {rules: [{drop: {}}]}";
  EXPECT_EQ(CheckYaml(schema, PipelineText(good)), absl::OkStatus());
  EXPECT_EQ(CheckYaml(schema, PipelineText("concurrency: $(n)\ntimeout: 5m\nmax_failures: $(s)\n" + good)),
            absl::OkStatus());
  for (const std::string& stage : std::vector<std::string>{
           "concurency: 5\n" + good, "concurrency: many\n" + good, "concurrency: 0\n" + good, "timeout: 30\n" + good,
           "max_failures: some\n" + good, "cache: always\n" + good, std::string("prepare: {rules: []}"),
           std::string("description: nothing to do"), good + "\nmerge: {fields: [a], rules: [{name: x}]}",
           "when: {all: [], any: []}\n" + good, "needs: [b]\n" + good + "\nname: c"}) {
    EXPECT_FALSE(CheckYaml(schema, PipelineText(stage)).ok()) << stage;
  }
}

TEST(SchemaTest, KnowsTheServersConfiguration) {
  const Schema schema = Compiled(ServerConfigSchema());
  EXPECT_EQ(CheckYaml(schema, R"(backends:
- {name: cloud, openai: {base_url: https://api.example.com/v1, api_key: {env: KEY}}}
models:
- {name: writer, targets: [{backend: cloud, model: m, limits: {max_concurrency: 20}}], on_unknown: fail}
durability: 50ms
limits: {disk_reserve: 1GiB}
)"),
            absl::OkStatus());
  EXPECT_FALSE(CheckYaml(schema, "durability: always").ok());
  EXPECT_FALSE(CheckYaml(schema, "backends: [{name: a, openai: {base_url: x, api_key: inline}}]").ok());
  EXPECT_FALSE(CheckYaml(schema, "limits: {max_connections: 0}").ok());
}

TEST(SchemaTest, CarriesTheCommentsOfTheProtos) {
  EXPECT_THAT(PipelineSchema(), HasSubstr("\"description\": \"Name, unique in the server.\""));
  const json::value schema = *ParseJson(PipelineSchema());
  const json::object& definitions = schema.at("definitions").as_object();
  EXPECT_GT(definitions.size(), 40u);
  for (const auto& [name, definition] : definitions) {
    EXPECT_TRUE(definition.as_object().contains("description")) << name;
  }
  const auto& concurrency = FindPath(schema, "definitions.Stage.properties.concurrency")->as_object();
  EXPECT_EQ(concurrency.at("default"), json::value(1000));
  EXPECT_THAT(std::string(concurrency.at("description").as_string()), HasSubstr("Items worked on at once"));
}

TEST(SchemaTest, EveryMessageHasANameOfItsOwn) {
  std::map<std::string, std::string> names;  // short name → full name
  std::set<const google::protobuf::Descriptor*> seen;
  const auto visit = [&](const auto& self, const google::protobuf::Descriptor* descriptor) -> void {
    if (!seen.insert(descriptor).second) return;
    const auto [known, is_new] = names.emplace(descriptor->name(), descriptor->full_name());
    EXPECT_TRUE(is_new || descriptor->options().map_entry()) << known->second << " and " << descriptor->full_name();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      if (descriptor->field(i)->message_type() != nullptr) self(self, descriptor->field(i)->message_type());
    }
  };
  visit(visit, v1::Pipeline::descriptor());
  visit(visit, v1::ServerConfig::descriptor());
}

}  // namespace
}  // namespace millrace
