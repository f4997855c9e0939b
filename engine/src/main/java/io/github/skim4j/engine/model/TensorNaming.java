package io.github.skim4j.engine.model;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/** What the two file formats call a tensor. */
enum TensorNaming {
    GGUF {
        @Override
        String name(TensorRole role, int layer) {
            return switch (role) {
                case TOKEN_EMBEDDING -> "token_embd.weight";
                case OUTPUT_NORM -> "output_norm.weight";
                case OUTPUT -> "output.weight";
                default -> "blk." + layer + "." + inBlock(role);
            };
        }

        private String inBlock(TensorRole role) {
            return switch (role) {
                case ATTENTION_NORM -> "attn_norm.weight";
                case QUERY -> "attn_q.weight";
                case KEY -> "attn_k.weight";
                case VALUE -> "attn_v.weight";
                case ATTENTION_OUTPUT -> "attn_output.weight";
                case QUERY_BIAS -> "attn_q.bias";
                case KEY_BIAS -> "attn_k.bias";
                case VALUE_BIAS -> "attn_v.bias";
                case ATTENTION_OUTPUT_BIAS -> "attn_output.bias";
                case QUERY_NORM -> "attn_q_norm.weight";
                case KEY_NORM -> "attn_k_norm.weight";
                case FFN_NORM -> "ffn_norm.weight";
                case GATE -> "ffn_gate.weight";
                case UP -> "ffn_up.weight";
                case DOWN -> "ffn_down.weight";
                case GATE_BIAS -> "ffn_gate.bias";
                case UP_BIAS -> "ffn_up.bias";
                case DOWN_BIAS -> "ffn_down.bias";
                default -> throw new IllegalArgumentException(role + " is not in a block");
            };
        }

        @Override
        boolean ignores(String name) {
            return name.equals(ROPE_FACTORS);
        }
    },

    HUGGING_FACE {
        @Override
        String name(TensorRole role, int layer) {
            return switch (role) {
                case TOKEN_EMBEDDING -> "model.embed_tokens.weight";
                case OUTPUT_NORM -> "model.norm.weight";
                case OUTPUT -> "lm_head.weight";
                default -> "model.layers." + layer + "." + inBlock(role);
            };
        }

        private String inBlock(TensorRole role) {
            return switch (role) {
                case ATTENTION_NORM -> "input_layernorm.weight";
                case QUERY -> "self_attn.q_proj.weight";
                case KEY -> "self_attn.k_proj.weight";
                case VALUE -> "self_attn.v_proj.weight";
                case ATTENTION_OUTPUT -> "self_attn.o_proj.weight";
                case QUERY_BIAS -> "self_attn.q_proj.bias";
                case KEY_BIAS -> "self_attn.k_proj.bias";
                case VALUE_BIAS -> "self_attn.v_proj.bias";
                case ATTENTION_OUTPUT_BIAS -> "self_attn.o_proj.bias";
                case QUERY_NORM -> "self_attn.q_norm.weight";
                case KEY_NORM -> "self_attn.k_norm.weight";
                case FFN_NORM -> "post_attention_layernorm.weight";
                case GATE -> "mlp.gate_proj.weight";
                case UP -> "mlp.up_proj.weight";
                case DOWN -> "mlp.down_proj.weight";
                case GATE_BIAS -> "mlp.gate_proj.bias";
                case UP_BIAS -> "mlp.up_proj.bias";
                case DOWN_BIAS -> "mlp.down_proj.bias";
                default -> throw new IllegalArgumentException(role + " is not in a block");
            };
        }

        @Override
        boolean ignores(String name) {
            return name.endsWith(".rotary_emb.inv_freq");
        }
    };

    /** GGUF's divisors of RoPE frequencies, which become part of the config. */
    static final String ROPE_FACTORS = "rope_freqs.weight";

    abstract String name(TensorRole role, int layer);

    /** Whether a tensor of this name carries no weight of its own. */
    abstract boolean ignores(String name);

    /**
     * Finds and checks the tensors of a model.
     *
     * @param file for messages
     * @param tensors what the file has, by name
     * @return the model's tensors, by name
     * @throws ModelFormatException if one is missing, has another shape than the config says, or is unknown: a weight that is left
     *     out would make a model that babbles
     */
    Map<String, Tensor> check(String file, ModelConfig config, Map<String, ? extends Tensor> tensors) {
        Map<String, Tensor> found = new HashMap<>();
        for (TensorRole role : TensorRole.values()) {
            if (role == TensorRole.OUTPUT && config.tiedEmbeddings()) {
                continue;
            }
            int layers = role.perLayer() ? config.layers() : 1;
            for (int layer = 0; layer < layers; layer++) {
                String name = name(role, layer);
                Tensor tensor = tensors.get(name);
                if (tensor == null) {
                    if (isRequired(role, config)) {
                        throw new ModelFormatException(file + ": tensor " + name + " is missing");
                    }
                    continue;
                }
                if (tensor.rows() != role.rows(config) || tensor.columns() != role.columns(config)) {
                    throw new ModelFormatException(file + ": tensor " + name + " has the shape [" + tensor.rows() + "]["
                            + tensor.columns() + "], but the configuration says [" + role.rows(config) + "]["
                            + role.columns(config) + "]");
                }
                found.put(name, tensor);
            }
        }
        for (String name : tensors.keySet()) {
            boolean tiedOutput = config.tiedEmbeddings() && name.equals(name(TensorRole.OUTPUT, 0));
            if (!found.containsKey(name) && !ignores(name) && !tiedOutput) {
                throw new ModelFormatException(file + ": tensor " + name + " has no place in the architecture "
                        + config.architecture().name().toLowerCase(Locale.ROOT));
            }
        }
        return found;
    }

    private static boolean isRequired(TensorRole role, ModelConfig config) {
        return switch (role) {
            case QUERY_BIAS, KEY_BIAS, VALUE_BIAS -> config.architecture() == Architecture.QWEN2;
            default -> role.required(config);
        };
    }
}
