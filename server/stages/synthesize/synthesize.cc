#include "server/stages/synthesize/synthesize.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <boost/json.hpp>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "server/base/json.h"
#include "server/stages/rules/rules.h"
#include "server/stages/stage_work.h"
#include "server/stages/synthesize/answer_fields.h"
#include "server/text/file_text.h"
#include "server/text/schema.h"
#include "server/text/template.h"

// GCC 12 takes Asio's allocator of coroutine frames for another one than that which frees them.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace millrace {
namespace {

// A longer prompt is a mistake in a template rather than a question.
constexpr size_t kPromptBytesMax = 4u << 20;
constexpr int32_t kMaxTokensDefault = 1024;
constexpr int32_t kRepairsDefault = 1;
constexpr char kAnswerField[] = "answer";

json::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// Returns the members that a schema names for an answer; nullopt if it describes them in another way.
std::optional<std::set<std::string>> PropertiesOf(const std::string& output_schema) {
  const StatusOr<json::value> schema = ParseJson(output_schema);
  const json::value* properties = schema.ok() ? FindPath(*schema, "properties") : nullptr;
  if (properties == nullptr || !properties->is_object()) return std::nullopt;
  std::set<std::string> names;
  for (const auto& member : properties->get_object()) names.emplace(member.key().data(), member.key().size());
  return names;
}

class Synthesizer final : public CallingStage {
 public:
  static StatusOr<std::unique_ptr<Synthesizer>> Make(const StageDefinition& definition) {
    const v1::Synthesize& message = definition.stage.synthesize();
    std::vector<FieldViolation> violations;
    auto stage = std::make_unique<Synthesizer>();
    stage->alias_ = message.model();
    const auto parse = [&violations, &stage](std::string_view text, std::string field, std::optional<Template>& into) {
      const size_t section = text.find("{{#");
      if (section != std::string_view::npos && text.find("{{#", section + 1) != std::string_view::npos) {
        stage->may_take_long_ = true;
      }
      StatusOr<Template> parsed = Template::Parse(text);
      if (parsed.ok()) {
        into = *std::move(parsed);
      } else {
        violations.push_back({std::move(field), std::string(MessageOf(parsed.status()))});
      }
    };
    if (!message.system().empty()) parse(message.system(), "synthesize.system", stage->system_);
    if (message.has_prompt_file()) {
      const auto file = definition.pipeline.files().find(message.prompt_file());
      if (file == definition.pipeline.files().end()) {
        violations.push_back(
            {"synthesize.prompt_file", fmt::format("the pipeline has no file \"{}\"", Excerpt(message.prompt_file()))});
      } else {
        parse(FileText(file->second), "synthesize.prompt_file", stage->prompt_);
      }
    } else if (message.prompt().empty()) {
      violations.push_back({"synthesize.prompt", "expected a prompt, or a prompt_file"});
    } else {
      parse(message.prompt(), "synthesize.prompt", stage->prompt_);
    }
    if (!message.output_schema().empty()) {
      const StatusOr<Schema> schema = Schema::Parse(message.output_schema());
      if (!schema.ok()) violations.push_back({"synthesize.output_schema", std::string(MessageOf(schema.status()))});
    }
    if (message.has_fallback()) {
      StatusOr<rules::Rules> rules = rules::Rules::Compile(message.fallback(), definition.pipeline, definition.shared);
      if (rules.ok()) {
        stage->fallback_ = *std::move(rules);
      } else {
        for (FieldViolation& violation : ViolationsBelow("synthesize.fallback", rules.status())) {
          violations.push_back(std::move(violation));
        }
      }
    }
    if (!violations.empty()) {
      return MakeFieldError(Reason::kInvalidDefinition, fmt::format("stage {} can't be made", definition.stage.name()),
                            violations);
    }
    stage->output_field_ = message.output_field();
    stage->asked_for_ = PropertiesOf(message.output_schema()).value_or(std::set<std::string>());
    backend::Request& question = stage->question_;
    question.output_schema = message.output_schema();
    question.max_tokens = message.max_tokens() > 0 ? message.max_tokens() : kMaxTokensDefault;
    if (message.has_temperature()) question.temperature = message.temperature();
    if (message.has_top_p()) question.top_p = message.top_p();
    if (message.has_seed()) question.seed = message.seed();
    stage->repairs_ = message.has_repairs() ? message.repairs() : kRepairsDefault;
    return stage;
  }

  Task<StageItem> Process(CallingContext& context, ParsedItem input) const override {
    std::optional<StatusOr<CallRequest>> request;
    if (may_take_long_) {
      // Shares what it needs: a crash destroys this frame, and not work on the pool.
      auto render = [self = std::make_shared<const Synthesizer>(*this), item = input.value] {
        return self->RequestFor(item);
      };
      request = co_await Compute(context.stage.loop, context.stage.pool, std::move(render));
    } else {
      request = RequestFor(input.value);
    }
    if (!request->ok()) co_return FailedItem(request->status());

    CallContext call = context.call;
    call.item_ids = {input.item.id};
    CallOutcome outcome = co_await context.calls.Handle(std::move(call), **std::move(request));

    StageItem result;
    if (!outcome.status.ok() && fallback_ && !outcome.stopped) {
      auto fall_back = [rules = *fallback_, item = std::move(input.value),
                        failed = FailedItem(outcome.status)]() mutable {
        return FallBack(rules, std::move(item), std::move(failed));
      };
      result = co_await Compute(context.stage.loop, context.stage.pool, std::move(fall_back));
    } else {
      result = Result(outcome, std::move(input.value));
    }
    // An item that a fallback made will be made again, and this result with it.
    if (input.item.degraded && result.state == v1::ITEM_STATE_OK) result.state = v1::ITEM_STATE_DEGRADED;
    result.stopped = outcome.stopped;
    result.call_keys = std::move(outcome.call_keys);
    result.totals = std::move(outcome.totals);
    result.settlement = std::move(outcome.settlement);
    co_return result;
  }

 private:
  StatusOr<CallRequest> RequestFor(const json::value& item) const {
    CallRequest request;
    request.model_alias = alias_;
    request.question = question_;
    request.repairs = repairs_;
    if (system_) {
      MR_ASSIGN_OR_RETURN(std::string text, system_->Render(item, kPromptBytesMax));
      request.question.messages.push_back({"system", std::move(text)});
    }
    MR_ASSIGN_OR_RETURN(std::string text, prompt_->Render(item, kPromptBytesMax));
    request.question.messages.push_back({"user", std::move(text)});
    return request;
  }

  // Returns what the rules make of an item that has failed. Any thread: they may take long.
  static StageItem FallBack(const rules::Rules& rules, json::value item, StageItem failed) {
    rules::RuleResult made = rules.Apply(std::move(item.as_object()));
    if (made.state != v1::ITEM_STATE_OK) return failed;
    failed.state = v1::ITEM_STATE_DEGRADED;
    failed.json = WriteJson(made.item);
    failed.notes = std::move(made.notes);
    failed.oddities = std::move(made.oddities);
    return failed;
  }

  StageItem Result(const CallOutcome& outcome, json::value item) const {
    if (!outcome.status.ok()) return FailedItem(outcome.status);
    StageItem result;
    json::object& object = item.as_object();
    if (question_.output_schema.empty()) {
      object[View(output_field_.empty() ? kAnswerField : output_field_)] = json::string(View(outcome.text));
    } else {
      StatusOr<json::value> answer = ParseExact(outcome.text, {.depth = kOutsideDepthMax});
      if (!answer.ok()) return FailedItem(answer.status());
      if (!output_field_.empty()) {
        object[View(output_field_)] = *std::move(answer);
      } else if (json::object* members = answer->if_object()) {
        for (auto& [name, value] : *members) {
          // A member that the schema does not name must not replace a field of the item, its id least of all.
          if (object.contains(name) && !asked_for_.contains(std::string(name.data(), name.size()))) continue;
          object[name] = std::move(value);
        }
      } else {
        object[kAnswerField] = *std::move(answer);
      }
    }
    result.json = WriteJson(item);
    return result;
  }

  std::string alias_;
  std::optional<Template> system_;
  std::optional<Template> prompt_;
  backend::Request question_;  // without messages
  int32_t repairs_ = kRepairsDefault;
  std::string output_field_;
  std::set<std::string> asked_for_;  // members that the schema names
  std::optional<rules::Rules> fallback_;
  bool may_take_long_ = false;  // the templates have sections within sections, which multiply
};

StageKind::Fields FieldsOf(const v1::Stage& stage) {
  const v1::Synthesize& message = stage.synthesize();
  const FieldTree answer = message.output_schema().empty() ? FieldTree() : AnswerFields(message.output_schema());
  StageKind::Fields fields{.made = FieldTree()};
  if (!message.output_field().empty()) {
    fields.made.Member(message.output_field()) = answer;
  } else if (message.output_schema().empty() || (!answer.any() && !PropertiesOf(message.output_schema()))) {
    fields.made.Member(kAnswerField) = answer;  // it is not an object
  } else {
    fields.made = answer;
  }
  return fields;
}

// Returns the text of the prompt; empty if its file is missing.
std::string_view PromptOf(const v1::Pipeline& pipeline, const v1::Synthesize& message) {
  if (!message.has_prompt_file()) return message.prompt();
  const auto file = pipeline.files().find(message.prompt_file());
  return file == pipeline.files().end() ? std::string_view() : std::string_view(file->second);
}

// Adds a doubt about a prompt that asks the same about all items.
void DoubtPrompt(const v1::Pipeline& pipeline, const v1::Synthesize& message, std::vector<FieldViolation>& doubts) {
  const std::string_view text = PromptOf(pipeline, message);
  if (text.empty()) return;  // it is missing, or a parameter gives it
  const StatusOr<Template> prompt = Template::Parse(text);
  const StatusOr<Template> system = Template::Parse(message.system());
  if (!prompt.ok() || !system.ok() || !prompt->is_constant() || !system->is_constant()) return;
  std::string doubt = "it reads no field, so the question is the same for all items";
  // A name in the style of other tools is the likely reason.
  static const re2::RE2 kSingle(R"(\$?\{\s*([A-Za-z_][\w.]*)\s*\})");
  std::string name;
  if (re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), kSingle, &name)) {
    doubt += fmt::format("; if {{{0}}} is meant to be a field, write {{{{{0}}}}}", Excerpt(name, 64));
  } else {
    doubt += "; write {{name}} where the field `name` belongs";
  }
  doubts.push_back({message.has_prompt_file() ? "synthesize.prompt_file" : "synthesize.prompt", std::move(doubt)});
}

std::vector<FieldViolation> DoubtsOf(const v1::Pipeline& pipeline, const v1::Stage& stage) {
  const v1::Synthesize& message = stage.synthesize();
  std::vector<FieldViolation> doubts;
  DoubtPrompt(pipeline, message, doubts);
  if (message.output_schema().empty()) return doubts;
  for (std::string& doubt : SchemaDoubts(message.output_schema())) {
    doubts.push_back({"synthesize.output_schema", std::move(doubt)});
  }
  if (message.output_field().empty() &&
      PropertiesOf(message.output_schema()).value_or(std::set<std::string>()).contains("id")) {
    doubts.push_back(
        {"synthesize.output_schema",
         "its member `id` replaces the field `id` of the items; name it differently, or set `output_field`"});
  }
  return doubts;
}

}  // namespace

StageKind SynthesizeKind() {
  StageKind kind;
  kind.name = "synthesize";
  kind.shape = StageShape::kCalling;
  kind.semantics_version = 3;
  kind.make = [](const StageDefinition& definition) -> StatusOr<StageWork> {
    MR_ASSIGN_OR_RETURN(std::unique_ptr<Synthesizer> stage, Synthesizer::Make(definition));
    return stage;
  };
  kind.models = [](const v1::Stage& stage) { return std::vector<std::string>{stage.synthesize().model()}; };
  kind.fields = FieldsOf;
  kind.doubts = DoubtsOf;
  return kind;
}

}  // namespace millrace

#pragma GCC diagnostic pop
