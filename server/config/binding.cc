#include "server/config/binding.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <optional>
#include <set>

#include "server/base/canonical_json.h"
#include "server/base/json.h"
#include "server/base/number.h"
#include "server/base/work_meter.h"
#include "server/config/field_path.h"
#include "server/config/field_value.h"
#include "server/config/place.h"
#include "server/config/rules.h"
#include "server/config/scalar.h"
#include "server/config/shared_outputs.h"
#include "server/stages/registry.h"
#include "server/text/nearest.h"
#include "server/text/pattern.h"

namespace millrace {
namespace {

constexpr size_t kParametersMax = 100;  // as of Pipeline.parameters

using v1::Parameter;
using v1::ParameterValue;
using What = std::optional<std::string>;  // what is wrong

std::vector<std::string> ParameterNames(const v1::Pipeline& pipeline) {
  std::set<std::string> names;  // sorted: a protobuf map has no order
  for (const auto& [name, parameter] : pipeline.parameters()) names.insert(name);
  return {names.begin(), names.end()};
}

// Returns the default as a value; not set if the parameter has none.
ParameterValue DefaultOf(const Parameter& parameter) {
  ParameterValue value;
  switch (parameter.type_case()) {
    case Parameter::kString:
      if (parameter.string().has_default_()) value.set_string(parameter.string().default_());
      break;
    case Parameter::kInt:
      if (parameter.int_().has_default_()) value.set_int_(parameter.int_().default_());
      break;
    case Parameter::kFloat:
      if (parameter.float_().has_default_()) value.set_float_(parameter.float_().default_());
      break;
    case Parameter::kBool:
      if (parameter.bool_().has_default_()) value.set_bool_(parameter.bool_().default_());
      break;
    case Parameter::TYPE_NOT_SET:
      break;
  }
  return value;
}

// Returns the text of a value as YAML would have it.
std::string TextOf(const ParameterValue& value) {
  switch (value.value_case()) {
    case ParameterValue::kString:
      return value.string();
    case ParameterValue::kInt:
      return fmt::to_string(value.int_());
    case ParameterValue::kFloat:
      return CanonicalJson(json::value(value.float_()));
    case ParameterValue::kBool:
      return value.bool_() ? "true" : "false";
    case ParameterValue::VALUE_NOT_SET:
      break;
  }
  return "";
}

std::string GotValue(const ParameterValue& value) {
  return Got(Scalar{TextOf(value), value.value_case() == ParameterValue::kString});
}

template <typename Bounds, typename Number>
What CheckBounds(const Bounds& bounds, Number number) {
  if (bounds.has_min() && number < bounds.min())
    return fmt::format("must be at least {}, got {}", bounds.min(), number);
  if (bounds.has_max() && number > bounds.max()) return fmt::format("must be at most {}, got {}", bounds.max(), number);
  return std::nullopt;
}

// Converts `value` to the parameter's type and checks its bounds.
What Convert(const Parameter& parameter, ParameterValue& value) {
  const bool is_text = value.value_case() == ParameterValue::kString;
  const auto expected = [&](std::string_view type) {
    return fmt::format("expected {}, got {}", type, GotValue(value));
  };
  if (value.value_case() == ParameterValue::VALUE_NOT_SET) return "has no value";
  switch (parameter.type_case()) {
    case Parameter::kString: {
      if (!is_text) return expected("text");
      const std::string& pattern = parameter.string().pattern();
      if (pattern.empty()) return std::nullopt;
      const StatusOr<Pattern> compiled = Pattern::Compile(pattern);
      if (!compiled.ok()) return std::string(MessageOf(compiled.status()));
      WorkMeter meter({.name = "the check of the parameter", .reason = Reason::kInvalidField});
      const bool matches = compiled->MatchesWhole(value.string());
      if (!meter.status().ok()) return std::string(MessageOf(meter.status()));
      if (!matches) {
        return fmt::format("must match {}, got \"{}\"", Excerpt(pattern, 200), Excerpt(value.string()));
      }
      return std::nullopt;
    }
    case Parameter::kInt: {
      if (is_text) {
        const std::optional<int64_t> number = ParseInteger(value.string());
        if (!number) return expected("a whole number");
        value.set_int_(*number);
      }
      if (value.value_case() == ParameterValue::kFloat && std::fabs(value.float_()) <= 0x1p53 &&
          value.float_() == std::trunc(value.float_())) {
        value.set_int_(static_cast<int64_t>(value.float_()));
      }
      if (value.value_case() != ParameterValue::kInt) return expected("a whole number");
      return CheckBounds(parameter.int_(), value.int_());
    }
    case Parameter::kFloat: {
      if (is_text) {
        const std::optional<double> number = ParseNumber(value.string());
        if (!number) return expected("a number");
        value.set_float_(*number);
      }
      if (value.value_case() == ParameterValue::kInt) value.set_float_(static_cast<double>(value.int_()));
      if (value.value_case() != ParameterValue::kFloat || !std::isfinite(value.float_())) return expected("a number");
      return CheckBounds(parameter.float_(), value.float_());
    }
    case Parameter::kBool: {
      if (is_text) {
        const std::optional<bool> truth = ParseBoolean(value.string());
        if (!truth) return expected("true or false");
        value.set_bool_(*truth);
      }
      if (value.value_case() != ParameterValue::kBool) return expected("true or false");
      return std::nullopt;
    }
    case Parameter::TYPE_NOT_SET:
      break;
  }
  return "has no type";
}

std::string Expand(const std::vector<TemplatePiece>& pieces, const ParameterValues& values) {
  std::string text;
  for (const TemplatePiece& piece : pieces) text += piece.is_parameter ? TextOf(values.at(piece.text)) : piece.text;
  return text;
}

// Returns the name of the parameter if the template is exactly one; else empty.
std::string OnlyParameter(const std::vector<TemplatePiece>& pieces) {
  return pieces.size() == 1 && pieces[0].is_parameter ? pieces[0].text : "";
}

json::value JsonOf(const ParameterValue& value) {
  switch (value.value_case()) {
    case ParameterValue::kInt:
      return value.int_();
    case ParameterValue::kFloat:
      return value.float_();
    case ParameterValue::kBool:
      return value.bool_();
    default:
      return json::string(TextOf(value));
  }
}

// Returns true if every parameter that the pieces name has a value.
bool HaveValues(const std::vector<TemplatePiece>& pieces, const ParameterValues& values) {
  return std::all_of(pieces.begin(), pieces.end(),
                     [&](const TemplatePiece& piece) { return !piece.is_parameter || values.contains(piece.text); });
}

// Puts the parameters that the template names into the texts of a JSON value.
void ExpandTexts(json::value& value, const ParameterValues& values) {
  if (json::object* object = value.if_object()) {
    for (auto& member : *object) ExpandTexts(member.value(), values);
  } else if (json::array* array = value.if_array()) {
    for (json::value& element : *array) ExpandTexts(element, values);
  } else if (const json::string* text = IfText(value)) {
    const StatusOr<std::vector<TemplatePiece>> pieces = ParseTemplate({text->data(), text->size()});
    // This happens only in a message from a client, whose JSON may hide a template by escapes (`\u0024(x)`): it stays
    // text.
    if (!pieces.ok() || !HaveValues(*pieces, values)) return;
    const std::string name = OnlyParameter(*pieces);
    value = name.empty() ? json::value(json::string(Expand(*pieces, values))) : JsonOf(values.at(name));
  }
}

// Binds a JSON text: the template is one parameter, or JSON with parameters in its texts, or plain text.
void BindJson(const FieldRef& slot, const std::string& text, const std::vector<TemplatePiece>& pieces,
              const ParameterValues& values) {
  json::value value;
  const StatusOr<json::value> parsed = ParseExact(text, {.depth = kOutsideDepthMax});
  if (const std::string name = OnlyParameter(pieces); !name.empty()) {
    value = JsonOf(values.at(name));
  } else if (parsed.ok() && (parsed->is_structured())) {
    ParameterValues named;
    for (const TemplatePiece& piece : pieces) {
      if (piece.is_parameter) named.insert(*values.find(piece.text));
    }
    value = *parsed;
    ExpandTexts(value, named);
  } else {
    value = json::string(Expand(pieces, values));
  }
  const std::string json = WriteJson(value);  // members in the order given
  google::protobuf::Message* message = slot.message;
  if (slot.index < 0) {
    message->GetReflection()->SetString(message, slot.field, json);
  } else {
    message->GetReflection()->SetRepeatedString(message, slot.field, slot.index, json);
  }
}

What ApplyBinding(v1::Pipeline& pipeline, const ParsedBinding& parsed, const ParameterValues& values) {
  const StatusOr<std::vector<TemplatePiece>>& pieces = parsed.pieces;
  if (!pieces.ok()) return std::string(MessageOf(pieces.status()));
  const v1::Binding& binding = *parsed.binding;
  const StatusOr<std::vector<FieldRef>> slots = ResolvePath(pipeline, binding.path());
  if (!slots.ok()) return std::string(MessageOf(slots.status()));
  const FieldRef& slot = slots->back();
  if (RulesOf(*slot.field).json_text()) {
    BindJson(slot, binding.template_(), *pieces, values);
    return std::nullopt;
  }
  return SetScalar(slot, {Expand(*pieces, values), false});
}

// Returns the text parameters that are used only as paths of files that are not read.
std::set<std::string> UnreadPaths(const v1::Pipeline& pipeline, const StageRegistry& stages,
                                  const std::vector<ParsedBinding>& bindings,
                                  const std::set<std::string>& client_inputs) {
  std::set<std::string> paths;
  for (int i = 0; i < pipeline.stages_size(); ++i) {
    const v1::Stage& stage = pipeline.stages(i);
    if (!client_inputs.contains(stage.name())) continue;
    for (const StageFile& file : stages.FilesReadBy(stage)) {
      paths.insert(PathOfField(PathOfElement("stages", static_cast<size_t>(i)), file.field));
    }
  }
  std::set<std::string> unread;
  std::set<std::string> read;
  for (const ParsedBinding& binding : bindings) {
    if (!binding.pieces.ok()) continue;
    for (const TemplatePiece& piece : *binding.pieces) {
      if (piece.is_parameter) (paths.contains(binding.binding->path()) ? unread : read).insert(piece.text);
    }
  }
  std::erase_if(unread, [&](const std::string& name) {
    return read.contains(name) || !pipeline.parameters().at(name).has_string();
  });
  return unread;
}

// Returns true for a field that must be known before a run has parameters: names, needs, definition files.
bool IsFixed(std::string_view path, const std::vector<FieldRef>& slots) {
  if (!path.starts_with("stages[") && !path.starts_with("measures[")) return true;
  const bool is_direct = slots.size() == 2;
  const std::string& name = slots.back().field->name();
  return (is_direct && (name == "name" || name == "needs")) || RulesOf(*slots.back().field).definition_file();
}

}  // namespace

Bindings::Bindings(const v1::Pipeline& pipeline) : pipeline_(pipeline) {
  for (const v1::Binding& binding : pipeline.bindings()) {
    parsed_.push_back({&binding, ParseTemplate(binding.template_())});
  }
}

std::vector<FieldViolation> Bindings::Check() const {
  const v1::Pipeline& pipeline = pipeline_;
  std::vector<FieldViolation> violations;
  const std::vector<std::string> names = ParameterNames(pipeline);
  for (const std::string& name : names) {
    const Parameter& parameter = pipeline.parameters().at(name);
    const std::string path = PathOfEntry("parameters", name);
    ParameterValue value = DefaultOf(parameter);
    if (value.value_case() != ParameterValue::VALUE_NOT_SET) {
      if (What what = Convert(parameter, value)) violations.push_back({path, "its default " + *what});
    }
    const bool is_empty =
        (parameter.int_().has_min() && parameter.int_().has_max() && parameter.int_().min() > parameter.int_().max()) ||
        (parameter.float_().has_min() && parameter.float_().has_max() &&
         parameter.float_().min() > parameter.float_().max());
    if (is_empty) violations.push_back({path, "min is above max: no value is allowed"});
  }

  v1::Pipeline copy = pipeline;  // resolving may make messages
  std::set<std::string> bound;
  for (size_t i = 0; i < parsed_.size(); ++i) {
    // The fault is reported at the field that is bound: a file has it there.
    const std::string& path = parsed_[i].binding->path();
    if (!bound.insert(path).second) violations.push_back({path, "is bound twice"});
    if (const StatusOr<std::vector<TemplatePiece>>& pieces = parsed_[i].pieces; !pieces.ok()) {
      violations.push_back({path, std::string(MessageOf(pieces.status()))});
    } else {
      for (const TemplatePiece& piece : *pieces) {
        if (!piece.is_parameter || pipeline.parameters().contains(piece.text)) continue;
        violations.push_back(
            {path, fmt::format("unknown parameter \"{}\"{}", piece.text, DidYouMean(piece.text, names))});
      }
    }
    const StatusOr<std::vector<FieldRef>> slots = ResolvePath(copy, path);
    if (!slots.ok()) {
      violations.push_back({fmt::format("bindings[{}].path", i), std::string(MessageOf(slots.status()))});
    } else if (IsFixed(path, *slots)) {
      violations.push_back({path, "can't depend on a parameter"});
    }
  }
  return violations;
}

v1::Pipeline Bindings::BindDefaults() const {
  ParameterValues defaults;
  for (const auto& [name, parameter] : pipeline_.parameters()) {
    ParameterValue value = DefaultOf(parameter);
    if (!Convert(parameter, value)) defaults.emplace(name, std::move(value));
  }
  v1::Pipeline bound = pipeline_;
  bound.clear_bindings();
  for (const ParsedBinding& binding : parsed_) {
    const bool is_known = binding.pieces.ok() && HaveValues(*binding.pieces, defaults);
    if (!is_known || ApplyBinding(bound, binding, defaults)) *bound.add_bindings() = *binding.binding;
  }
  return bound;
}

StatusOr<BoundPipeline> BindParameters(const v1::Pipeline& pipeline, const StageRegistry& stages,
                                       const ParameterValues& values, const std::set<std::string>& client_inputs) {
  BoundPipeline bound;
  std::vector<FieldViolation> violations;
  const std::vector<std::string> names = ParameterNames(pipeline);
  if (values.size() > kParametersMax) {
    return MakeFieldError(Reason::kInvalidField,
                          fmt::format("at most {} parameters, got {}", kParametersMax, values.size()),
                          {{"parameters", "too many"}});
  }
  for (const auto& [name, value] : values) {
    if (pipeline.parameters().contains(name)) continue;
    violations.push_back({PathOfEntry("parameters", name), "unknown parameter" + DidYouMean(name, names)});
  }
  const Bindings bindings(pipeline);
  const std::set<std::string> unread = UnreadPaths(pipeline, stages, bindings.parsed(), client_inputs);
  for (const std::string& name : names) {
    const Parameter& parameter = pipeline.parameters().at(name);
    const std::string path = PathOfEntry("parameters", name);
    const auto given = values.find(name);
    ParameterValue value = given == values.end() ? DefaultOf(parameter) : given->second;
    if (given == values.end() && value.value_case() == ParameterValue::VALUE_NOT_SET) {
      if (unread.contains(name)) {
        bound.parameters[name].set_string("-");
        continue;
      }
      violations.push_back({path, "must be given; it has no default"});
    } else if (What what = Convert(parameter, value)) {
      violations.push_back({path, *std::move(what)});
    }
    bound.parameters[name] = std::move(value);
  }
  const auto fail = [&] {
    const FieldViolation& first = violations.front();
    return MakeFieldError(Reason::kInvalidField, fmt::format("{}: {}", first.field, first.description), violations);
  };
  if (!violations.empty()) return fail();

  bound.pipeline = pipeline;
  bound.pipeline.clear_bindings();
  for (const ParsedBinding& parsed : bindings.parsed()) {
    if (What what = ApplyBinding(bound.pipeline, parsed, bound.parameters)) {
      const v1::Binding& binding = *parsed.binding;
      violations.push_back({binding.path(), *what + fmt::format(" (from {})", Excerpt(binding.template_()))});
    }
  }
  if (!violations.empty()) return fail();
  violations = CheckRules(bound.pipeline);
  if (!violations.empty()) return fail();
  violations = SharedOutputs(bound.pipeline, stages);
  if (!violations.empty()) return fail();
  FillDefaults(bound.pipeline, AbsentMessages::kLeave);
  return bound;
}

StatusOr<BoundPipeline> BindParameters(const v1::Pipeline& pipeline, const StageRegistry& stages,
                                       const google::protobuf::Map<std::string, ParameterValue>& values,
                                       const std::set<std::string>& client_inputs) {
  return BindParameters(pipeline, stages, ParameterValues(values.begin(), values.end()), client_inputs);
}

}  // namespace millrace
